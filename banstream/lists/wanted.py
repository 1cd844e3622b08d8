"""Which lists a configuration wants: what jails name beside prefixes, and where each comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from banstream import values
from banstream.toml import Table
from schemas.bounds import NAME_CHARACTERS
from schemas.lists import BAN, MOST_PREFIXES
from schemas.rules import MOST_NAMED, SELF

FILE: Final = "file:"
NAME: Final = "name:"
LIST: Final = "list:"
HTTPS: Final = "https://"
"""How the names of lists, and the places they are from, begin."""
ListFormat = Literal["auto", "plain", "csv", "jsonl", "drop", "netset", "crowdsec"]
LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}$)(?:{LABEL}\.)*(?![0-9]+\.?$){LABEL}\.?", re.ASCII)
"""A host's name; the last label is no number, so an address with a mistake in it is none."""
LIST_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
MOST_BYTES: Final = 64 << 20
LEAST_BYTES: Final = 1_024
MOST_ENTRIES: Final = 1_000_000
REFRESH_MS: Final = 3_600_000
LEAST_REFRESH_MS: Final = 60_000
IGNORED: Final = (
    'addresses and prefixes such as "192.0.2.7" or "2001:db8::/32", host names, and "file:/path" with such'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A list that jails name, or whose prefixes are refused.

    Attributes:
        name: what they call it.
        place: where it comes from: `file:/path`, `https://...`, `name:HOST`, or SELF.
        named: host names in it are looked up.
        refresh_ms: how often it is fetched; of files and names that is fixed.
        most_bytes, most_entries: what is larger is not taken.
    """

    name: str
    place: str
    format: ListFormat = "auto"
    named: bool = False
    refresh_ms: int = REFRESH_MS
    most_bytes: int = MOST_BYTES
    most_entries: int = MOST_ENTRIES

    @property
    def bans(self) -> bool:
        """Whether whom it names is refused."""
        return self.name.startswith(BAN)


class Ignored(NamedTuple):
    """What an `ignoreip` says: prefixes, and the names of lists."""

    prefixes: tuple[str, ...]
    lists: tuple[str, ...]


def ignored(value: Any) -> Ignored:
    """A reader of `ignoreip`: prefixes, host names and files; one, an array, or several in one string."""
    words: list[str] = []
    for text in values.texts(value) if value != [] else ():
        words += [text] if text.startswith(FILE) else text.replace(",", " ").split()
    named = {word: listed for word in words if (listed := _list_of(word))}
    others = [word for word in words if word not in named]
    wrong = [word for word in others if not values.is_prefix(word)]
    if wrong:
        given = "" if len(words) == 1 else f", and not {', '.join(wrong)}"
        raise ValueError(f"{IGNORED}{given}")
    lists = list(named.values())
    if len(lists) > MOST_NAMED:
        raise ValueError(f"{MOST_NAMED} names and files at most; a file may hold more names")
    return Ignored(values.prefixes(others), tuple(dict.fromkeys(lists)))


def _list_of(word: str) -> str | None:
    """The name of the list that an entry stands for; None where it is a prefix, or wrong."""
    if word.startswith(FILE):
        path = word.removeprefix(FILE)
        if not path.startswith("/") or len(word) > NAME_CHARACTERS:
            raise ValueError(f'{IGNORED}; "file:" stands before an absolute path, and not {word!r:.80}')
        return word
    if values.is_prefix(word) or HOST_NAME.fullmatch(word) is None:
        return None
    return f"{NAME}{word.rstrip('.').lower()}"


def read_lists(top: Table) -> tuple[Wanted, ...]:
    """The lists that `[list.NAME]` makes: every jail counts nobody in them, or whom they name is refused."""
    return tuple(_list(name, table) for name, table in top.table("list").tables())


def _list(name: str, table: Table) -> Wanted:
    if LIST_NAME.fullmatch(name) is None:
        table.problem("", name, "a list's name of at most 64 of A-Z, a-z, 0-9, . _ -")
    place = table.take("from", _place, "")
    if not place and "from" not in table.refused:
        table.problem("from", None, 'where it comes from: "file:/path" or "https://..."')
    action = table.take("action", values.one_of("allow", "ban"), "allow")
    wanted = Wanted(
        name=f"{BAN if action == 'ban' else LIST}{name}",
        place=place,
        format=cast("ListFormat", table.take("format", values.one_of(*get_args(ListFormat)), "auto")),
        refresh_ms=table.take("refresh", _refresh_ms, REFRESH_MS),
        most_bytes=table.take("max_size", values.size_bytes(LEAST_BYTES), MOST_BYTES),
        most_entries=table.take("max_entries", values.between(1, MOST_PREFIXES), MOST_ENTRIES),
    )
    table.done()
    return wanted


def _place(value: object) -> str:
    place = values.text(value)
    if place.startswith(HTTPS) and len(place) > len(HTTPS) and place.isascii() and place.isprintable():
        return place
    if place.startswith(f"{FILE}/") and not place.endswith("/"):
        return place
    raise ValueError('"file:/path" or "https://...": what comes unencrypted can be anybody\'s')


def _refresh_ms(value: object) -> int:
    refresh_ms = values.duration_ms(value)
    if refresh_ms < LEAST_REFRESH_MS:
        raise ValueError('a duration of "1m" or more: a list is fetched as often')
    return refresh_ms


def written(names: Iterable[str]) -> tuple[str, ...]:
    """Lists as `ignoreip` has them; those of `[list.NAME]` are not in it."""
    return tuple(name.removeprefix(NAME) for name in names if not name.startswith(LIST))


def wanted_by(names: Mapping[str, None], lists: tuple[Wanted, ...]) -> tuple[Wanted, ...]:
    """The lists of these names; of `[list.NAME]` those given."""
    known = {each.name: each for each in lists}
    return tuple(known.get(name) or Wanted(name=name, place=_usual_place(name), named=True) for name in names)


def _usual_place(name: str) -> str:
    """Where a list is from whose name says so."""
    return SELF if name == SELF else name
