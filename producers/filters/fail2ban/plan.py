"""A fail2ban filter, compiled: what all its matchers share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from producers.filters.candidates import finder_of
from producers.filters.fail2ban.datepatterns import Template, templates_of
from producers.filters.fail2ban.definition import Definition
from producers.filters.fail2ban.needles import whole_needles
from producers.filters.fail2ban.rules import Rules
from producers.filters.fail2ban.tokens import WrongPattern
from producers.filters.fail2ban.zones import minutes_east
from producers.filters.rows import Needles


@dataclass(frozen=True, slots=True)
class Plan:
    """What matches a filter's lines.

    Attributes:
        rules: its expressions.
        templates: the dates its lines may bear.
        dated: whether they may bear any.
        needles: what its lines hold; None: any line may be one of its.
        usedns: what becomes of host names.
        offset_minutes: the zone of dates that name none, east of UTC; None: the local one.
        maxlines: how many lines its expressions see at once.
    """

    rules: Rules
    templates: tuple[Template, ...]
    dated: bool
    needles: Needles | None
    usedns: str
    offset_minutes: int | None
    maxlines: int

    def starts(self, data: bytes) -> Iterable[int]:
        """Where the lines start that hold a needle, ascending; where there are needles."""
        return finder_of((self.needles,)).lines(data)


def compile_plan(definition: Definition, year: int) -> Plan:
    """Compile a filter; `year` is the present one. ConfigError, naming file and key, when it cannot be."""
    try:
        templates = tuple(templates_of(definition.datepattern, year))
    except WrongPattern as error:
        raise definition.refuse("datepattern", str(error)) from error
    zone = definition.logtimezone
    try:
        offset = None if zone is None else minutes_east(zone)
    except ValueError as error:
        raise definition.refuse("logtimezone", str(error)) from error
    rules = Rules(definition)
    dated = any(each.expression.pattern != "^()" for each in templates)
    needles = None if definition.maxlines > 1 else whole_needles(rules.needles, templates)
    return Plan(rules, templates, dated, needles, definition.usedns, offset, definition.maxlines)
