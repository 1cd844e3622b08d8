"""A native filter: its file read, its engine chosen, its samples at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from producers.filters.engines import COMMON_MODULES, ENGINES, Engine
from producers.filters.native.definition import Definition, parse_definition
from producers.filters.native.matcher import NativeMatcher, NativeRules
from producers.filters.rows import Matcher, Needles, contains
from producers.library import LIBRARY
from producers.stamps import Stamps
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from producers.filters.samples import Sample

VERSION_LENGTH: Final = 12
MOST_EXAMINED: Final = 256
"""So many texts of users' own filters are remembered."""


RULES_MODULES: Final = (
    *COMMON_MODULES,
    *(f"native/{module}.py" for module in ("compiler", "matcher", "pieces", "targets")),
)


@dataclass(frozen=True)
class NativeFilter:
    """A filter of the library, or of a user's own file."""

    definition: Definition
    text: str
    file: str

    def laid_out(self, layout: str) -> NativeFilter:
        """The same over access logs whose lines begin so (`producers.filters.native.pieces.LAYOUTS`)."""
        if not layout or layout == self.definition.layout:
            return self
        return replace(
            self, definition=replace(self.definition, layout=layout), text=f"{layout}\n{self.text}"
        )

    @property
    def name(self) -> str:
        """The name a jail asks for it by."""
        return self.definition.name

    @property
    def service(self) -> str:
        """The service its events are about."""
        return self.definition.service

    @property
    def programs(self) -> tuple[str, ...]:
        """The names its service logs under."""
        return self.definition.programs

    @property
    def engine(self) -> Engine | None:
        """Code of its own, for the few that have some."""
        return ENGINES.get(self.definition.engine)

    @property
    def version(self) -> str:
        """The start of the SHA-256 of its text and of its engine's."""
        engine = self.engine
        return _version_of(self.text, RULES_MODULES if engine is None else engine.modules)

    @cached_property
    def rules(self) -> NativeRules:
        """Its patterns."""
        return NativeRules(self.definition)

    @property
    def needles(self) -> Needles | None:
        """What its lines hold; None of an engine, which finds its lines itself."""
        return self.rules.needles if self.engine is None else None

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its service logs by default."""
        return self.definition.sources

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Its samples. Raises ConfigError."""
        return _samples_of(self.text, self.file)

    @property
    def usedns(self) -> bool:
        """No: whoever owns a name's zone would choose whom it bans."""
        return False

    def warnings(self) -> list[str]:
        """None: the library is looked at by its tests, a user's own filter is refused for what is wrong."""
        return []

    def taken(self, line: bytes) -> tuple[str, Mapping[str, str]] | None:
        """The table of its file that takes a line by itself, and what is captured."""
        from producers.filters.native.reasons import taken  # noqa: PLC0415 - for people who write filters

        return taken(self, line)

    def is_near(self, line: bytes) -> bool:
        """Whether a line holds something of its, or is of a program of its."""
        from producers.filters.entries import unwrap  # noqa: PLC0415 - as above
        from producers.filters.native.reasons import is_named  # noqa: PLC0415 - as above

        return (self.needles is not None and contains(line, self.needles)) or is_named(self, unwrap(line))

    def nearness(self, line: bytes) -> int:
        """How like its lines a line is."""
        from producers.filters.native.reasons import nearness  # noqa: PLC0415 - as above

        return nearness(self, line)

    def reason(self, line: bytes) -> str:
        """What keeps it from taking a line."""
        from producers.filters.native.reasons import reason  # noqa: PLC0415 - as above

        return reason(self, line)

    def matcher(self, stamps: Stamps | None = None) -> Matcher:
        """A matcher for one stream, remembering nothing yet."""
        engine = self.engine
        return NativeMatcher(self.rules, stamps) if engine is None else engine.matcher(stamps)


@cache
def read_filter(path: Path, name: str) -> NativeFilter:
    """The filter in a file of the library. Raises ConfigError, naming the file and what is wrong in it."""
    return _filter_of(_text_of(path), path.name, name)


def own_filter(path: Path, name: str) -> NativeFilter:
    """A user's own filter as its file is now, looked at as the library's are by their tests.

    Raises ConfigError as `read_filter`, with what is wrong in its samples, and with every way in which a line
    could fool or stop it.
    """
    return _examined(_text_of(path), str(path), name)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _filter_of(text: str, file: str, name: str) -> NativeFilter:
    return NativeFilter(parse_definition(name, text, file), text, file)


@lru_cache(maxsize=MOST_EXAMINED)
def _examined(text: str, file: str, name: str) -> NativeFilter:
    from producers.filters.native.lint import dangers  # noqa: PLC0415 - only a user's own filter is looked at

    found = _filter_of(text, file, name)
    _samples_of(found.text, found.file)
    problems = list(dangers(found.definition))
    if problems:
        raise ConfigError(f"{file}: " + "; ".join(problems))
    return found


@cache
def _samples_of(text: str, file: str) -> tuple[Sample, ...]:
    from producers.filters.samples import parse_samples  # noqa: PLC0415 - for tests of filters, not for their work

    return parse_samples(text, file)


@cache
def _version_of(text: str, modules: tuple[str, ...]) -> str:
    code = b"".join((LIBRARY.parent / module).read_bytes() for module in modules)
    return hashlib.sha256(text.encode() + code).hexdigest()[:VERSION_LENGTH]
