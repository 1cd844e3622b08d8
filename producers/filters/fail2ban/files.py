"""The files that a fail2ban filter's name asks for, and their text, merged in fail2ban's order.

A filter is named `NAME`, `PATH.conf`, either with `[option=value, other="a, b"]`. The later file wins:

| order | what |
|---|---|
| 1 | what `before` of a file's `[INCLUDES]` names, each with its own `.local`, recursively |
| 2 | the file |
| 3 | what `after` names |

The files are, of a `filter.d`: `X.conf`, `X.d/*.conf`, `X.local`, `X.d/*.local`; elsewhere the file and its
`.local`. What an option was before a later file changed it is kept: `known/option` names it. A conditional
section `[Init?family=inet6]` gives its section options of conditional names, `option?family=inet6`.
A file that is included and is not there is passed over, as fail2ban does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as SyntaxFault
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from producers.library import FAIL2BAN_ENDINGS, FAIL2BAN_FOLDER
from schemas.errors import ConfigError

NAMED: Final = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<options>.*)\])?\s*", re.DOTALL)
OPTION: Final = re.compile(
    r"""\s* (?P<key>[\w.-]+) = (?: "(?P<double>[^"]*)" | '(?P<single>[^']*)' | (?P<bare>[^,\]]*) )
        (?: , | \]\s*\[ | \Z )""",
    re.VERBOSE,
)
NOTHING: Final = re.compile(r"[\s,]*\Z")


class Specification(NamedTuple):
    """What a jail asks for.

    Attributes:
        path: the filter's main file, which need not be there: its `.local` may be alone.
        whole: whether the file is one of a `filter.d`, where `.local` and `.d` belong to it.
        options: what the jail sets, over the file's own.
    """

    path: Path
    whole: bool
    options: Mapping[str, str]


def parse_specification(text: str, folder: Path = FAIL2BAN_FOLDER) -> Specification:
    """The file and the options that a text asks for; ConfigError when it is no such text."""
    named = NAMED.fullmatch(text.strip())
    if named is None:
        raise ConfigError(f"filter {text!r}: expected NAME, PATH.conf or either with [option=value, ...]")
    name = named["name"].strip()
    path = Path(name) if "/" in name else folder / name
    if path.suffix not in FAIL2BAN_ENDINGS:
        path = path.with_name(path.name + ".conf")
    options = _options(text, named["options"] or "")
    return Specification(
        path.absolute(), "/" not in name or path.absolute().parent.name == "filter.d", options
    )


def _options(text: str, listed: str) -> dict[str, str]:
    options: dict[str, str] = {}
    at = 0
    while not NOTHING.match(listed, at):
        found = OPTION.match(listed, at)
        if found is None:
            raise ConfigError(f"filter {text!r}: expected option=value at {listed[at : at + 30]!r}")
        options[found["key"]] = (found["double"] or found["single"] or found["bare"] or "").strip()
        at = found.end()
    return options


DEFAULT: Final = "DEFAULT"
INCLUDES: Final = "INCLUDES"
KNOWN: Final = "KNOWN/"
CONDITIONAL: Final = re.compile(r"(\w+)(\?.+)")

FilterOptions = dict[str, str]


@dataclass(slots=True)
class Text:
    """The options of all sections, as they are written.

    Attributes:
        sections: by name; `KNOWN/name` holds what the options of `name` were before.
        origins: the file that an option's text is from.
        files: every file read, in order.
    """

    sections: dict[str, FilterOptions] = field(default_factory=lambda: {DEFAULT: {}})
    origins: dict[tuple[str, str], Path] = field(default_factory=dict[tuple[str, str], Path])
    files: list[Path] = field(default_factory=list[Path])

    @property
    def defaults(self) -> FilterOptions:
        """The options of every section that has none of that name."""
        return self.sections[DEFAULT]

    def merge(self, path: Path, sections: dict[str, FilterOptions]) -> None:
        """Add a file's sections: its options win."""
        self.files.append(path)
        for full_name, options in sections.items():
            conditional = CONDITIONAL.fullmatch(full_name)
            name = conditional[1] if conditional else full_name
            ending = conditional[2] if conditional else ""
            named = {key + ending: value for key, value in options.items()}
            own = self.sections.get(name)
            if own is None:
                self.sections[name] = own = {}
            elif name != DEFAULT:
                before = self.sections.setdefault(KNOWN + name, {})
                before.update({key: own[key] for key in named if key in own})
            own.update(named)
            self.origins.update(dict.fromkeys(((name, key) for key in named), path))


def read_text(wanted: Specification) -> Text:
    """All that belongs to a filter; ConfigError, naming the file, when it cannot be read."""
    text = Text()
    for path in _with_locals(_main_files(wanted)):
        for each in _in_order(path, ()):
            sections = _parsed(each)
            if sections is not None:
                text.merge(each, sections)
    if not text.files:
        raise ConfigError(f"{wanted.path}: no such filter file")
    return text


def _main_files(wanted: Specification) -> list[Path]:
    path = wanted.path
    if not wanted.whole:
        return [path]
    folder = path.with_suffix(".d")
    found = [
        path.with_suffix(".conf"),
        *sorted(folder.glob("*.conf")),
        path.with_suffix(".local"),
        *sorted(folder.glob("*.local")),
    ]
    return [each for each in found if each.exists()]


def _with_locals(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield path
        local = path.with_suffix(".local")
        if local not in paths and local.is_file():
            yield local


def _in_order(path: Path, inside: tuple[Path, ...]) -> Iterator[Path]:
    """A file among what it includes."""
    sections = _parsed(path)
    if sections is None:
        return
    for option in ("before", None, "after"):
        if option is None:
            yield path
            continue
        for name in sections.get(INCLUDES, {}).get(option, "").split("\n"):
            included = path.parent / name
            if name and included not in (*inside, path):
                for each in _with_locals([included]):
                    yield from _in_order(each, (*inside, path))


def _parsed(path: Path) -> dict[str, FilterOptions] | None:
    """The sections of one file; None when there is no such file."""
    try:
        return _sections(path, path.read_text("utf-8")) if path.is_file() else None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from error
    except SyntaxFault as error:
        raise ConfigError(f"{path}: {error.message}") from error


@lru_cache(maxsize=64)
def _sections(path: Path, text: str) -> dict[str, FilterOptions]:
    """The sections of a text, for reading alone: what many filters include is parsed once."""
    parser = ConfigParser(interpolation=None, inline_comment_prefixes=(";",), default_section="\0")
    parser.read_string(text, str(path))
    return {name: dict(parser[name]) for name in parser.sections()}
