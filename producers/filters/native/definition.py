r"""A native filter's TOML, checked: what it says, with the file and key of everything that is wrong.

```toml
service = "vsftpd"                            # what its events are about
title = "vsftpd, the FTP server"              # one line for people
programs = ["vsftpd"]                         # the names it logs under, in syslog and the journal
ports = ["ftp", "ftps"]                       # the service's, as `filters list` shows them
technique = "T1110.001"                       # what it sees, in MITRE ATT&CK's words; of a table, there
counts = ["failed"]                           # what a jail of this filter counts unless it says so itself
sources = ["file:/var/log/vsftpd.log"]        # where it logs by default
headers = ['{time} \[pid \d+\] ']          # how a line begins in a log of its own

[pieces]                                      # its own pieces
client = 'Client "(?:::ffff:)?{ip}"'

[[failed]]                                    # also [[succeeded]], [[probed]], [[request]], [[session]]
line = '\[{user}\] FAIL LOGIN: {client}'    # a whole message, from its first character to its last

[[failed]]
json = { msg = 'login failed', status = '401' }   # a JSON object whose values match

[json]                                        # where such an object has the rest
ip = "remote.ip"
user = "user"
time = "ts"

[[sample]]                                    # samples come last
log = 'Sun Nov 22 09:00:00 2026 [pid 7] [bob] FAIL LOGIN: Client "192.0.2.7"'
says = ["failed", "192.0.2.7", "bob"]
```

`kv = {...}` and `[kv]` are the same for key=value lines, `clf = {...}` for access logs of web servers.
A `[[session]]` line names a connection by `{session}` and its address; another line of that session needs no
address of its own. `ends = true`: the session is over with this line. `once = true`: it is no event where the
session had a failure, or there is no session. `sessions = "pid"` at the top of the file: the messages of one
process are one session, by the process id that syslog or the journal names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from producers.filters.native.pieces import LAYOUTS
from producers.library import FAILED
from schemas.errors import ConfigError
from schemas.techniques import TECHNIQUES

RuleKind = Literal["failed", "succeeded", "probed", "request", "session"]
Shape = Literal["line", "json", "kv", "clf"]
KINDS: Final[tuple[RuleKind, ...]] = ("succeeded", "failed", "probed", "request", "session")
EVENTS: Final = frozenset({"succeeded", "failed", "probed", "request"})
WORDS: Final = "words"
MOST_MISSING: Final = 3
SAMPLES: Final = "\n[[sample]]"
FIELDS: Final = ("ip", "user", "port", "time", "session", "host")
HEAD: Final = frozenset({
    "service", "title", "technique", "layout", "counts", "names", "engine", "generic", "programs", "ports",
    "sources", "headers", "bare", "sessions", "pieces", "json", "kv",
})  # fmt: skip
RULE: Final = frozenset({"line", "lines", "json", "kv", "clf", "path", "technique", "ends", "once"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which a service says something.

    Attributes:
        kind: what it means; `session`: a connection and its address, no event.
        shape: how `lines` or `where` are to be read.
        lines: of shape `line`: alternatives, with pieces.
        where: of the others: by key or column, what its value is, with pieces.
        path: of `line` and `clf`: what the path that was asked for is, however it is spelt; empty: any.
        ends: the session is over.
        once: it tells of an attempt that its session may have told of already: then it is no event.
        place: the table in the file, for messages.
        technique: what it sees, where that is not what the file says; empty: as the file.
    """

    kind: RuleKind
    shape: Shape
    lines: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    ends: bool = False
    once: bool = False
    place: str = ""
    technique: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A native filter as its file says it.

    Attributes:
        engine: code of its own reads its lines; empty for none.
        technique: what it sees, as MITRE ATT&CK names it (schemas.techniques); empty: not said.
        layout: how an access log's line begins (`pieces.LAYOUTS`); a jail may say so.
        counts: the kinds of event that a jail counts which does not say (producers.library.counts_of).
        names: what a user's name cannot hold in a line that is read: up to three characters; or `words`,
            where the service logs names of letters and digits alone.
        generic: lines of many services are its: where a line is routed, others are asked first.
        bare: its messages may stand alone, without a header or the name of a program.
        sessions: `pid` where the messages of one process are one session; else empty.
        json, kv: by field (FIELDS) the keys that may hold it.
    """

    name: str
    service: str
    title: str
    technique: str
    layout: str
    counts: tuple[str, ...]
    names: str
    engine: str
    generic: bool
    programs: tuple[str, ...]
    ports: tuple[str, ...]
    sources: tuple[str, ...]
    headers: tuple[str, ...]
    bare: bool
    sessions: str
    pieces: Mapping[str, str]
    json: Mapping[str, tuple[str, ...]]
    kv: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]


def parse_definition(name: str, text: str, file: str) -> Definition:
    """Read a definition. Its samples are left out: they are most of a file (`samples.parse_samples`).

    Raises ConfigError, naming the file and the key.
    """
    head, _, _ = text.partition(SAMPLES)
    try:
        top = tomllib.loads(head)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}") from error
    return _Reader(name, file).read(top)


class _Reader:
    """Reads the tables of one file."""

    def __init__(self, name: str, file: str) -> None:
        self._name = name
        self._file = file

    def read(self, top: Mapping[str, Any]) -> Definition:
        self._known(top, HEAD | set(KINDS), "")
        rules = tuple(
            self._rule(kind, table, f"[[{kind}]] {number}")
            for kind in KINDS
            for number, table in enumerate(self._get(top, kind, list, []), start=1)
        )
        found = Definition(
            name=self._name,
            service=self._get(top, "service", str, self._name),
            title=self._get(top, "title", str, ""),
            technique=self._technique(top, ""),
            layout=self._layout(top),
            counts=self._counts(top),
            names=self._names(top),
            engine=self._get(top, "engine", str, ""),
            generic=self._get(top, "generic", bool, False),  # noqa: FBT003 - the default of a key
            programs=self._texts(top, "programs"),
            ports=self._texts(top, "ports"),
            sources=self._texts(top, "sources"),
            headers=self._texts(top, "headers"),
            bare=self._get(top, "bare", bool, False),  # noqa: FBT003 - the default of a key
            sessions=self._sessions(top),
            pieces=self._texts_by(top, "pieces"),
            json=self._keys(top, "json"),
            kv=self._keys(top, "kv"),
            rules=rules,
        )
        if not rules and not found.engine:
            raise self._wrong("", "has no [[failed]], [[succeeded]], [[probed]] or [[request]]")
        return found

    def _technique(self, table: Mapping[str, Any], place: str) -> str:
        found: str = self._get(table, "technique", str, "", place)
        if found and found not in TECHNIQUES:
            raise self._wrong(
                f"{place} technique",
                f'expected one of ATT&CK such as "T1110.001" that banstream knows, not {found!r:.80}',
            )
        return found

    def _layout(self, top: Mapping[str, Any]) -> str:
        found: str = self._get(top, "layout", str, "")
        if found not in LAYOUTS:
            raise self._wrong("layout", f"expected one of {', '.join(filter(None, LAYOUTS))}, not {found!r}")
        return found

    def _counts(self, top: Mapping[str, Any]) -> tuple[str, ...]:
        found = self._texts(top, "counts") or FAILED
        if not set(found) <= EVENTS:
            raise self._wrong("counts", f"expected some of {', '.join(sorted(EVENTS))}, not {list(found)}")
        return found

    def _names(self, top: Mapping[str, Any]) -> str:
        found: str = self._get(top, "names", str, "")
        if found != WORDS and len(found) > MOST_MISSING:
            raise self._wrong(
                "names", f'expected "{WORDS}" or up to {MOST_MISSING} characters, not {found!r}'
            )
        return found

    def _sessions(self, top: Mapping[str, Any]) -> str:
        found: str = self._get(top, "sessions", str, "")
        if found not in {"", "pid"}:
            raise self._wrong("sessions", f'expected "pid", not {found!r}')
        return found

    def _rule(self, kind: RuleKind, table: Any, place: str) -> Rule:
        if not isinstance(table, dict):
            raise self._wrong(place, "expected a table")
        self._known(table, RULE, place)
        ends = self._get(table, "ends", bool, False, place)  # noqa: FBT003 - the default of a key
        once = self._get(table, "once", bool, False, place)  # noqa: FBT003 - as above
        technique = self._technique(table, place)
        shapes = [shape for shape in ("json", "kv", "clf") if shape in table]
        lines = (*self._texts(table, "line", place), *self._texts(table, "lines", place))
        if len(shapes) + bool(lines) != 1:
            raise self._wrong(place, "wants one of line, lines, json, kv and clf")
        path = self._get(table, "path", str, "", place)
        if lines:
            return Rule(
                kind, "line", lines=lines, path=path, ends=ends, once=once, place=place, technique=technique
            )
        shape = cast("Shape", shapes[0])
        where = self._texts_by(table, shape, place)
        if not where:
            raise self._wrong(f"{place} {shape}", "wants at least one key and what its value is")
        if once:
            raise self._wrong(f"{place} once", "stands beside a line, which tells how a session ended")
        if path:
            raise self._wrong(f"{place} path", "stands beside a line; of an object or columns it is a key")
        return Rule(
            kind, shape, where=where, path=where.get("path", "") * (shape == "clf"), ends=ends, place=place,
            technique=technique,
        )  # fmt: skip

    def _keys(self, top: Mapping[str, Any], shape: str) -> Mapping[str, tuple[str, ...]]:
        table = self._get(top, shape, dict, {})
        self._known(table, frozenset(FIELDS), f"[{shape}]")
        return {name: self._texts(table, name, f"[{shape}]") for name in table}

    def _texts(self, table: Mapping[str, Any], key: str, place: str = "") -> tuple[str, ...]:
        value = table.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise self._wrong(f"{place} {key}", f"expected a text or a list of texts, not {value!r:.80}")
        return tuple(values)

    def _texts_by(self, table: Mapping[str, Any], key: str, place: str = "") -> Mapping[str, str]:
        value: dict[str, Any] = self._get(table, key, dict, {}, place)
        if not all(isinstance(each, str) for each in value.values()):
            raise self._wrong(f"{place} {key}", "expected a text for each key")
        return value

    def _get(self, table: Mapping[str, Any], key: str, type_: type, default: Any, place: str = "") -> Any:
        value = table.get(key, default)
        if not isinstance(value, type_):
            raise self._wrong(f"{place} {key}", f"expected {type_.__name__}, not {value!r:.80}")
        return value

    def _known(self, table: Mapping[str, Any], known: frozenset[str] | set[str], place: str) -> None:
        for key in table:
            if key not in known:
                raise self._wrong(f"{place} {key}", f"no such key; known are {', '.join(sorted(known))}")

    def _wrong(self, key: str, problem: str) -> ConfigError:
        return ConfigError(f"{self._file}: {f'{key.strip()}: ' if key else ''}{problem}")
