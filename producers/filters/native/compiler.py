"""A definition compiled: each rule an expression over a whole message, or tests of an object's values.

Every expression is matched from a message's first character to its last (`fullmatch`), so none can lack an
anchor. Expressions are compiled when they are first needed: loading a hundred filters compiles none.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import orjson

from producers.filters.bounds import compiled
from producers.filters.entries import Entry
from producers.filters.native.definition import Definition, Rule
from producers.filters.native.pieces import access_line, expand, outline
from producers.filters.native.targets import SPELT, is_target, path_of, readings, spelt
from producers.filters.rows import Needle, Needles, contains
from schemas.errors import ConfigError

Groups = Mapping[str, bytes]
ESCAPED: Final = frozenset('"\\<>&\t\r\b\f\x1b') | frozenset(map(chr, range(128, 256)))
"""Characters that JSON writers escape, so that a line within Docker's JSON would not hold them."""
ESCAPED_VALUE: Final = ESCAPED | {"/"}
"""The same of a value: PHP's writer escapes the slash."""
PAIR: Final = re.compile(
    rb'([A-Za-z_][\w.@/-]{0,63})=(?:"((?:[^"\\]|\\.)*)"(?=[\s,|]|$)'
    rb'|([^\s"]*?)(?=\s|,(?:\s|[A-Za-z_][\w.@/-]{0,63}=)|,?$))[\s,|]*'
)
PRIORITY: Final = re.compile(rb"(?:<\d{1,3}>)?\s*")
ABSENT: Final = b"-"
"""How an access log writes what there is none of."""
REFUSED: Final = re.compile(rb"\b4\d\d\b")
"""In a needle: few lines of an access log have the status."""
ASKED: Final = "asked"
"""The group of the piece {path}: what a request asked for, which may hold secrets and is no field."""
LED_BY_TIME: Final = re.compile(r"^(?:\{(?:time|utc)\}|\\\[\{(?:time|utc)\}\\\]) (?![{?*+])")
"""How a header begins that syslog's time may stand for."""
TIMED: Final = re.compile(r"\(\?P<(?:time|utc)>")
AGAIN: Final = "__"
"""Between a group's name and a number, where several headers capture the same."""
UNESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


class Doubled(bytes):
    """What a key holds that stands there twice: nothing, and it is told from every other nothing by `is`."""

    __slots__ = ()


TWICE: Final = Doubled()


@dataclass(frozen=True)
class LinePattern:
    """An expression over a message.

    Attributes:
        headed: the headers of the service's own log; None where a line of its own log has none.
        behind: the same where syslog's header stands before them: they may lack their time there.
        path: what the path that was asked for has to be (`producers.filters.native.targets`); empty: any.
    """

    rule: Rule
    source: str
    headed: str | None
    behind: str | None = None
    path: str = ""

    @property
    def text(self) -> str:
        """What its needles follow from."""
        return f"{self.source}\0{self.path}" if self.path else self.source

    @cached_property
    def asked(self) -> re.Pattern[bytes] | None:
        """Over a reading of what the request asked for; None: any."""
        return compiled(self.path.encode(), re.DOTALL) if self.path else None

    @cached_property
    def whole(self) -> bool:
        """Whether it can be a whole line of a log of the service's own: with its header, or a time in it."""
        return self.headed is not None or TIMED.search(self.source) is not None

    @cached_property
    def expression(self) -> re.Pattern[bytes]:
        """Over a message, with the service's own header or without."""
        optional = "" if self.headed is None else f"(?:{self.behind or self.headed})?"
        return compiled((optional + self.source).encode(), re.DOTALL)

    @cached_property
    def own(self) -> re.Pattern[bytes]:
        """Over a line of the service's own log: the header has to be there."""
        return compiled((f"(?:{self.headed or ''})" + self.source).encode(), re.DOTALL)

    @cached_property
    def timed(self) -> re.Pattern[bytes]:
        """Over such a line behind a supervisor's time, which may stand for the header's."""
        return compiled((f"(?:{self.behind or self.headed or ''})" + self.source).encode(), re.DOTALL)

    @cached_property
    def needles(self) -> Needles | None:
        """What its messages hold: of a request's answer and of its path what fewer lines hold."""
        own = _needles(outline(self.source).encode(), but=ESCAPED)
        paths = _needles(self.path.encode(), but=ESCAPED) if self.path else None
        asked = paths and spelt(paths)
        if not asked:
            return own
        refused = own is not None and all(REFUSED.search(each.text) for each in own)
        return own if refused and own is not None and len(own) <= len(asked) else asked

    def find(self, entry: Entry, *, own: bool) -> Groups | None:
        """What it captures of an entry: of the service's own log if `own`, else of a program's message."""
        text = entry.line if own else entry.text
        if self.needles is not None and not contains(text, self.needles):
            return None
        expression = (
            self.expression if not own else self.timed if entry.supervised and not entry.headed else self.own
        )
        found = expression.fullmatch(text)
        if found is None:
            return None
        absent = ABSENT if self.rule.shape == "clf" else None
        groups: dict[str, bytes] = {}
        _capture(found, groups, absent)
        target = groups.pop(ASKED, b"")
        if self.rule.kind == "request":
            groups["path"] = path_of(target)
        return groups if self.asked is None or any(map(self.asked.fullmatch, readings(target))) else None


@dataclass(frozen=True)
class FieldsPattern:
    """Values of an object: JSON, or key=value. `keys`: by field the keys that may hold it."""

    rule: Rule
    where: tuple[tuple[str, str], ...]
    keys: Mapping[str, tuple[str, ...]]
    whole: bool = field(default=False, init=False)

    @property
    def text(self) -> str:
        """What its needles follow from."""
        return repr(self.where)

    @cached_property
    def tests(self) -> tuple[tuple[tuple[str, ...], re.Pattern[bytes]], ...]:
        """By path, what the value has to be."""
        return tuple((tuple(key.split(".")), compiled(text.encode(), re.DOTALL)) for key, text in self.where)

    @cached_property
    def needles(self) -> Needles | None:
        """The best of its values' needles, and of the names of keys."""
        found = [_needles_of_value(text) for _, text in self.where]
        keys = [frozenset({Needle(key.rpartition(".")[2].encode())}) for key, _ in self.where]
        known = [each for each in (*found, *keys) if each]
        return max(known, key=_shortest) if known else None

    def value(self, entry: Entry) -> Mapping[str, Any] | None:
        """The object that an entry is; None when it is none."""
        found: Mapping[str, Any] | None = entry.value() if self.rule.shape == "json" else pairs(entry.text)
        return found

    def text_at(self, value: Mapping[str, Any], path: tuple[str, ...]) -> bytes:
        """What stands at a path, as text; empty when nothing does."""
        return _text(_at(value, path))

    def find(self, entry: Entry, *, own: bool) -> Groups | None:
        """What its keys hold, when the values are as they should be."""
        del own
        value = self.value(entry)
        groups = None if value is None else self._groups(value)
        if groups and self.rule.shape == "json" and _twice(entry.text, self._names):
            groups.pop("ip", None)
        return groups

    def _groups(self, value: Mapping[str, Any]) -> dict[str, bytes] | None:
        groups: dict[str, bytes] = {}
        for path, test in self.tests:
            found = _matched(test, self.text_at(value, path))
            if found is None:
                return None
            _capture(found, groups)
        for name, keys in self.keys.items():
            texts = [text for key in keys if (text := self.text_at(value, tuple(key.split("."))))]
            if texts and not (self.rule.shape == "kv" and self._is_odd(value, keys, texts)):
                groups.setdefault(name, texts[0])
        return groups

    @staticmethod
    def _is_odd(value: Mapping[str, Any], keys: tuple[str, ...], texts: list[bytes]) -> bool:
        """Whether a client may have written one of the pairs: they differ, or one stands there twice."""
        return len(set(texts)) > 1 or any(value.get(key) is TWICE for key in keys)

    @cached_property
    def _names(self) -> frozenset[str]:
        """Every name on the way to a value that is looked at."""
        asked = {key for key, _ in self.where}.union(*self.keys.values())
        return frozenset(asked).union(*(key.split(".") for key in asked))


Pattern = LinePattern | FieldsPattern


def compile_rules(definition: Definition) -> tuple[Pattern, ...]:
    """The patterns of a definition, in the order in which they are tried.

    Raises ConfigError, naming the filter and the table, for a piece that is none.
    """
    return tuple(pattern for rule in definition.rules for pattern in _patterns(definition, rule))


def check_expressions(definition: Definition) -> None:
    """Compile every expression; ConfigError, naming the filter and the table, for one that is none."""
    for pattern in compile_rules(definition):
        try:
            _ = (pattern.expression, pattern.own) if isinstance(pattern, LinePattern) else pattern.tests
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(f"filter {definition.name}, {pattern.rule.place}: {error}") from error


def pairs(text: bytes) -> dict[str, Any] | None:
    """The key=value pairs of a line; None when it is anything else, or holds anything else as well.

    Of a key that stands there twice nothing is told but that (TWICE): one of the two may be a client's.
    """
    found: dict[str, Any] = {}
    before = PRIORITY.match(text)
    at = 0 if before is None else before.end()
    while at < len(text):
        match = PAIR.match(text, at)
        if match is None:
            return None
        at, key, quoted = match.end(), match[1].decode(), match[2]
        if key in found:
            found[key] = TWICE
        else:
            found[key] = match[3] if quoted is None else UNESCAPE.sub(rb"\1", quoted)
    return found or None


def _path(definition: Definition, rule: Rule, source: str) -> str:
    if rule.path and f"(?P<{ASKED}>" not in source:
        raise ValueError("path: its line has no {path}")
    return expand(rule.path, definition.pieces)


def _matched(test: re.Pattern[bytes], text: bytes) -> re.Match[bytes] | None:
    """A test of a value; of what a request asked for, the first reading that passes."""
    found = test.fullmatch(text)
    if found is not None or not is_target(text):
        return found
    return next(filter(None, map(test.fullmatch, readings(text))), None)


def _patterns(definition: Definition, rule: Rule) -> Iterator[Pattern]:
    try:
        if rule.shape in {"json", "kv"}:
            where = tuple(
                (key, apart(expand(text, definition.pieces), Counter())) for key, text in rule.where.items()
            )
            yield FieldsPattern(rule, where, definition.json if rule.shape == "json" else definition.kv)
            return
        lines = rule.lines if rule.shape == "line" else (access_line(rule.where, definition.layout),)
        headers = "|".join(expand(each, definition.pieces) for each in definition.headers)
        behind = "|".join(
            expand(LED_BY_TIME.sub(r"(?:\g<0>)?", each), definition.pieces) for each in definition.headers
        )
        for line in lines:
            seen: Counter[str] = Counter()
            source = apart(expand(line, definition.pieces), seen)
            path = _path(definition, rule, source)
            if headers and rule.shape != "clf" and not TIMED.search(source):
                headed, led = apart(headers, Counter(seen)), apart(behind, Counter(seen))
                yield LinePattern(rule, source, headed, led, path)
            else:
                yield LinePattern(rule, source, None, path=path)
    except ValueError as error:
        raise ConfigError(f"filter {definition.name}, {rule.place}: {error}") from error


def _needles(expression: bytes, *, but: frozenset[str]) -> Needles | None:
    from producers.filters.literals import required_literals  # noqa: PLC0415 - the library's are remembered

    return required_literals(expression, re.DOTALL, but=but)


def _needles_of_value(text: str) -> Needles | None:
    """What a value holds; of one that may be a path what its line holds, however it is spelt."""
    found = _needles(text.encode(), but=ESCAPED_VALUE)
    return spelt(found) if found and "/" in text else found


def _shortest(needles: Needles) -> int:
    """The length of the shortest, but for what tells only that something may be spelt otherwise."""
    return min(len(needle.text) for needle in needles - SPELT)


def _capture(found: re.Match[bytes], groups: dict[str, bytes], absent: bytes | None = None) -> None:
    """Add what a match captured, by the names before they were set apart. The first of a name counts."""
    for key, value in found.groupdict().items():
        if value is not None and value != absent:
            groups.setdefault(key.partition(AGAIN)[0], value)


def apart(text: str, seen: Counter[str]) -> str:
    """An expression with its groups named apart: `re` takes a name but once."""

    def group(found: re.Match[str]) -> str:
        seen[found[1]] += 1
        return found[0] if seen[found[1]] == 1 else f"(?P<{found[1]}{AGAIN}{seen[found[1]]}>"

    return re.sub(r"\(\?P<(\w+)>", group, text)


def _twice(text: bytes, names: frozenset[str]) -> bool:
    """Whether one of these keys stands twice in one object of a JSON text; true when it cannot be told.

    Readers differ on which of the two counts, and writers that know no better may let a client add one.
    """

    def once(pairs: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in pairs if key in names]
        if len(set(keys)) < len(keys):
            raise ValueError("twice")

    try:
        json.loads(text.decode("utf-8", "replace"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        return True
    return False


def _at(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path; a key may itself have dots (`client.ip`), as ECS's flat form writes them."""
    for index, key in enumerate(path):
        if not isinstance(value, dict):
            return None
        if key not in value:
            return value.get(".".join(path[index:]))
        value = value[key]
    return value


def _text(value: Any) -> bytes:
    """A value as text: JSON's own for what is no text, empty for none."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return b"" if value is None else orjson.dumps(value)
