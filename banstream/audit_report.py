"""An account of a stretch for an auditor: who did what with which effect, and what is not evidenced.

| section | from | answers |
|---|---|---|
| what operators did | commands, and the decisions they led to | PCI 10.2.1.2, 10.2.1.5; SOC 2 CC7.3 |
| rules | rules put in force, with what they changed | PCI 10.2.1.2; ISO A.8.15 |
| bans | decisions by jail and reason | PCI 10.2.1.4; ISO A.8.16; SOC 2 CC7.2, CC6.6 |
| where a control failed | enforcements refused or failed, by host | PCI 10.7.2, 10.7.3; SOC 2 CC7.4 |
| integrity | the chains (banstream.audit) | PCI 10.3.4; ISO A.8.15; HIPAA 164.312(b), (c)(1) |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from banstream.audit import AuditResult, verify
from banstream.reading import records
from banstream.show import instant
from eventlog.contract import EventLog
from schemas.differences import differences
from schemas.errors import InvalidMessage
from schemas.records import Ban, Command, Decision, Enforcement, Prolong, RulesChanged, Unban
from schemas.rules import Rules
from schemas.topics import COMMANDS, DECISIONS, ENFORCEMENTS

MOST_ROWS: Final = 10_000
BREAKER: Final = "breaker"
NOT_EVIDENCED: Final = (
    "PCI DSS 10.2.1.3: who read or exported this trail; only what writes to the log is recorded in it.",
    "PCI DSS 10.2.1.6: starts and stops of roles are in the service manager's journal, not here.",
    "PCI DSS 10.7.2: that a host fell silent is shown by `status --fleet` and its metrics, and not kept.",
    "ISO 27001 A.8.17: that clocks agree; events whose clock is wrong say so (`skewed`).",
    "Who an operator is: the name is what the host of the command said; access to it is yours to show.",
    "Events and enforcements are in no chain of hashes; in a fleet hosts sign what they ship.",
    "What is past its retention, or older than the first chain.",
)
"""What an auditor may not conclude from it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the account: its title, the paragraphs that it answers, and its rows."""

    title: str
    answers: tuple[str, ...]
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]] = field(default_factory=list)

    def to_wire(self) -> dict[str, Any]:
        """As a JSON object."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"kind": "section", "title": self.title, "answers": list(self.answers), "rows": rows}


@dataclass(slots=True)
class _Made:
    """What decisions there were: by whom, by jail, and what each command led to."""

    by_jail: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    caused: Counter[str] = field(default_factory=Counter)


def account(log: EventLog, since_ms: int, now_ms: int) -> tuple[list[Section], AuditResult]:
    """The sections of an account of what happened from an instant on, and what the chains say."""
    made = _decided(log, since_ms)
    checked = verify(log, now_ms)
    integrity = Section(
        "Integrity",
        ("PCI DSS 10.3.4", "ISO 27001 A.8.15", "HIPAA 164.312(b)", "HIPAA 164.312(c)(1)"),
        ("finding", "topic", "offset", "what"),
        [(each.kind, each.topic, each.offset, each.what) for each in checked.findings],
    )
    told = [_operators(log, since_ms, made), _rules(log, since_ms), _bans(made), _failed(log, since_ms)]
    return [*told, integrity], checked


def _decided(log: EventLog, since_ms: int) -> _Made:
    made = _Made()
    for each in records(log, DECISIONS.name, since_ms=since_ms):
        decision = each.record
        if not isinstance(decision, Ban | Unban | Prolong):
            continue
        made.by_jail[decision.jail, decision.TYPE, _reason(decision)] += 1
        cause = decision.id.rpartition("-")[0].rpartition("-")[0]
        if "-c" in cause:
            made.caused[cause] += 1
    return made


def _reason(decision: Decision) -> str:
    why: str
    match decision:
        case Ban():
            why = "by hand" if decision.who else decision.counted
        case Unban():
            why = decision.reason
        case Prolong():
            why = "prolonged"
    return f"{why}, only observed" if decision.shadow else why


def _operators(log: EventLog, since_ms: int, made: _Made) -> Section:
    """What operators said; a word about a wide prefix stands in every partition, and is told once."""
    section = Section(
        "What operators did",
        ("PCI DSS 10.2.1.2", "PCI DSS 10.2.1.5", "PCI DSS 10.2.2", "ISO 27001 A.8.15", "SOC 2 CC7.3"),
        ("at", "who", "what", "why", "decisions"),
    )
    rows: dict[str, tuple[Command, int]] = {}
    for each in records(log, COMMANDS.name, since_ms=since_ms, containing=b'"type":"command"'):
        if isinstance(each.record, Command):
            command = each.record
            effect = made.caused[f"{each.partition}-c{each.offset}"]
            rows[command.id] = command, rows.get(command.id, (command, 0))[1] + effect
    for command, effect in list(rows.values())[:MOST_ROWS]:
        whom = command.prefix or command.host or "everything"
        jail = f" in {command.jail}" if command.jail else ""
        said = f"{command.verb} {whom}{jail}"
        section.rows.append((instant(command.at_ms), command.who, said, command.why, effect))
    return section


def _rules(log: EventLog, since_ms: int) -> Section:
    """The rules that were put in force, and what each changed in those before."""
    section = Section("Rules", ("PCI DSS 10.2.1.2", "ISO 27001 A.8.15"), ("at", "who", "version", "changes"))
    before: Rules | None = None
    told: set[tuple[str, int]] = set()
    for each in records(log, COMMANDS.name, containing=b'"type":"rules"'):
        record = each.record
        if not isinstance(record, RulesChanged) or (record.version, record.at_ms) in told:
            continue
        told.add((record.version, record.at_ms))
        try:
            rules = Rules.from_state(record.rules)
        except (InvalidMessage, KeyError, TypeError):
            continue
        changes = ["the first that are known"] if before is None else differences(before, rules)
        before = rules
        if record.at_ms >= since_ms:
            who = record.who or "a role"
            section.rows.append((instant(record.at_ms), who, record.version, "; ".join(changes)))
    return section


def _bans(made: _Made) -> Section:
    return Section(
        "Bans, by jail and reason",
        ("PCI DSS 10.2.1.4", "ISO 27001 A.8.16", "SOC 2 CC6.6", "SOC 2 CC7.2"),
        ("jail", "decision", "reason", "count"),
        [(*key, count) for key, count in sorted(made.by_jail.items())],
    )


def _failed(log: EventLog, since_ms: int) -> Section:
    """What enforcers did not do, by host and reason: how often, from when to when."""
    section = Section(
        "Where a control failed",
        ("PCI DSS 10.7.2", "PCI DSS 10.7.3", "SOC 2 CC7.4"),
        ("host", "outcome", "reason", "times", "first", "last", "breaker"),
    )
    found: dict[tuple[str, str, str], list[int]] = {}
    for each in records(log, ENFORCEMENTS.name, since_ms=since_ms):
        record = each.record
        if isinstance(record, Enforcement) and record.outcome in {"refused", "failed"}:
            key = record.host, record.outcome, record.detail or ""
            found.setdefault(key, []).append(record.at_ms)
    for (host, outcome, detail), instants in sorted(found.items())[:MOST_ROWS]:
        spans = instant(min(instants)), instant(max(instants))
        section.rows.append((host, outcome, detail, len(instants), *spans, BREAKER in detail))
    return section


def sentences(sections: list[Section]) -> Iterator[str]:
    """The account for people."""
    for section in sections:
        yield f"{section.title}  ({', '.join(section.answers)})"
        yield from ("  " + "  ".join(str(cell) for cell in row) for row in section.rows)
        if not section.rows:
            yield "  none"
    yield "What this does not evidence"
    yield from (f"  {each}" for each in NOT_EVIDENCED)
