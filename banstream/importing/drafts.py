"""A configuration of ours that is being made, and its text: only what is not as usual, and why it is so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from banstream.show import printable

BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
WIDTH: Final = 100
LOOPBACK: Final = ["127.0.0.0/8", "::1"]
USUAL: Final[Mapping[str, object]] = {
    "findtime": "10m",
    "maxretry": 5,
    "bantime": "10m",
    "ignoreip": LOOPBACK,
}
"""What jails have here that say nothing."""

BY_SMTP: Final = ("by SMTP to this machine's port 25, unless `server` says otherwise: docs/sinks.md",)

Keys = dict[str, object]


@dataclass(slots=True)
class JailDraft:
    """A jail.

    Attributes:
        keys: in order; a table's value is a dict.
        notes: what its comments say.
        counts: it was on.
    """

    name: str
    keys: Keys
    notes: list[str] = field(default_factory=list[str])
    counts: bool = True


@dataclass(slots=True)
class Draft:
    """All of it.

    Attributes:
        head: what the file's first comment says.
        defaults: what every jail has that does not say.
        mails: the sinks that send mail: by `to`, their names.
    """

    head: list[str]
    defaults: Keys
    jails: list[JailDraft]
    notes: list[str] = field(default_factory=list[str])
    mails: dict[str, str] = field(default_factory=dict[str, str])

    def mail_sink(self, recipients: Iterable[str]) -> str:
        """The name of the sink that sends mail to these."""
        to = f"mail:{','.join(recipients)}"
        return self.mails.setdefault(to, f"mail-{len(self.mails) + 1}" if self.mails else "mail")

    def without(self, names: Iterable[str]) -> Draft:
        """The same without some jails."""
        gone = set(names)
        return Draft(
            self.head,
            self.defaults,
            [each for each in self.jails if each.name not in gone],
            self.notes,
            self.mails,
        )

    def text(self) -> str:
        """As a file."""
        lines = [f"# {printable(line)}".rstrip() for line in self.head]
        defaults = _changed(self.defaults, USUAL)
        if defaults or self.notes:
            lines += ["", *_comments(self.notes), "[defaults]", *_rows("defaults", defaults)]
        for jail in self.jails:
            title = f"jail.{_key(jail.name)}"
            changed = _changed(jail.keys, {**USUAL, **self.defaults})
            lines += ["", *_comments(jail.notes), f"[{title}]", *_rows(title, changed)]
        named = {name for jail in self.jails for name in cast("list[str]", jail.keys.get("actions", []))}
        for to, name in self.mails.items():  # one that no jail named would carry what all of them decide
            if name not in named:
                continue
            lines += ["", *_comments(BY_SMTP), f"[sink.{name}]", *_rows("", {"to": to})]
        return "\n".join(lines) + "\n"


def _changed(keys: Keys, usual: Mapping[str, object]) -> Keys:
    return {key: value for key, value in keys.items() if key not in usual or value != usual[key]}


def _rows(title: str, keys: Keys) -> Iterator[str]:
    """The lines of a table, then those of the tables in it."""
    yield from (f"{key} = {toml_value(value)}" for key, value in keys.items() if not isinstance(value, dict))
    for key, value in keys.items():
        if isinstance(value, dict):
            yield from ("", f"[{title}.{key}]")
            yield from (f"{name} = {toml_value(each)}" for name, each in value.items())


def _comments(notes: Iterable[str]) -> Iterator[str]:
    return (f"# {printable(note)}" for note in notes)


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else toml_value(name)


def toml_value(value: object) -> str:
    """A value as TOML (toml.io/en/v1.0.0): a text as JSON writes it, but for what is not printable."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            items = [toml_value(each) for each in value]
            one = f"[{', '.join(items)}]"
            return one if len(one) <= WIDTH else "[\n" + "".join(f"  {item},\n" for item in items) + "]"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case _:
            written = json.dumps(str(value), ensure_ascii=False)
            return written if written.isprintable() else "".join(map(_escaped, written))


def _escaped(char: str) -> str:
    """A character that could steer a terminal, as TOML escapes it."""
    return char if char.isprintable() else f"\\U{ord(char):08x}"
