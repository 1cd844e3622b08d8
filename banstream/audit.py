"""Whether anybody changed what was decided or obeyed: the log against its own chains (streams.chain).

| finding | means |
|---|---|
| changed | a message is not the one that was vouched for there |
| removed | one that was vouched for is not there |
| inserted | one is there that nobody vouched for |
| moved | one stands elsewhere than it did |
| rules | a version of the rules is not what its name, a hash, says |
| checkpoint | the log does not go on from where a checkpoint had it |

Whoever can write the log can write the chains anew: against him helps a checkpoint kept elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final, NamedTuple

from banstream.reading import messages, records
from eventlog.contract import EventLog, Message
from schemas.codec import decode, encode, lines_of
from schemas.deciding import Sealed
from schemas.errors import BanstreamError, InvalidMessage
from schemas.records import RulesChanged
from schemas.rules import Rules
from schemas.topics import COMMANDS, DECISIONS, RULES
from streams.chain import (
    NO_HEAD,
    SEALED,
    SHORT,
    Chains,
    HashChain,
    digest_of_commands,
    digest_of_decisions,
    head_after,
)
from streams.partition import position_of

WINDOW: Final = 64
ANY: Final = ""
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something that is not as it was: what, in which topic and partition, where, and what stands there."""

    kind: str
    topic: str
    partition: int
    offset: int | None
    what: str

    def to_wire(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "kind": "finding",
            "finding": self.kind,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "what": self.what,
        }

    def sentence(self) -> str:
        """The same for people."""
        where = "" if self.offset is None else f" at offset {self.offset}"
        return f"{self.kind.upper():10} {self.topic} partition {self.partition}{where}: {self.what}"


@dataclass(slots=True)
class AuditResult:
    """What was looked at.

    Attributes:
        vouched: messages that are what they were; `unvouched`: those from before there were chains, and those
            that were not decided or obeyed yet.
        chains: by partition, how far each goes.
    """

    findings: list[AuditFinding] = field(default_factory=list)
    vouched: int = 0
    unvouched: int = 0
    chains: list[Chains] = field(default_factory=list)


class _Link(NamedTuple):
    """A message, by its digests."""

    offset: int
    digest: str
    message: Message

    @property
    def short(self) -> str:
        """By what a seal names it."""
        return self.digest[:SHORT]


def verify(log: EventLog, now_ms: int, checkpoint: Mapping[str, Any] | None = None) -> AuditResult:
    """Look at all of it; `checkpoint`: what `checkpoint_of` gave earlier, of this log."""
    checked = AuditResult()
    for number in range(log.partitions):
        position = position_of(log, number)
        chains = Chains.load(position.get("chains", {}))
        checked.chains.append(chains)
        decisions = [
            _Link(each.offset, digest_of_decisions(each.key, each.value), each)
            for each in messages(log, DECISIONS.name, number, log.begin(DECISIONS.name, number))
        ]
        told = [
            _Link(each.offset, digest_of_commands(each), each)
            for each in messages(log, COMMANDS.name, number, log.begin(COMMANDS.name, number))
        ]
        obeyed = position.get("commands", -1)
        commands = [link for link in told if link.offset <= obeyed]
        checked.unvouched += len(told) - len(commands)
        sealing = [(link, seal) for link in decisions if (seal := _seal(link)) is not None]
        seals = [seal for _, seal in sealing]
        walks = (
            (DECISIONS.name, decisions, chains.decisions, seals),
            (COMMANDS.name, commands, chains.commands, ()),
        )
        vouched, of_commands = _vouched(chains, sealing)
        _forget(vouched, decisions, DECISIONS.retention_ms, now_ms)
        _compare(checked, (DECISIONS.name, number), decisions, vouched)
        _compare(checked, (COMMANDS.name, number), commands, of_commands)
        if checkpoint is not None and number < len(checkpoint["partitions"]):
            checked.findings += _against(checkpoint, number, walks)
    checked.findings += _rules(log)
    return checked


def _seal(link: _Link) -> Sealed | None:
    if not link.message.value.startswith(SEALED):
        return None
    try:
        record = decode(link.message.value)
    except InvalidMessage:
        return None
    return record if isinstance(record, Sealed) else None


def _vouched(chains: Chains, seals: Sequence[tuple[_Link, Sealed]]) -> tuple[dict[int, str], dict[int, str]]:
    """The short digests of the decisions and of the commands that are vouched for, by number; else ANY.

    From the end, seal by seal, wherever each stands: the next older one is the first that a seal vouches for.
    """
    decisions: dict[int, str] = {}
    commands: dict[int, str] = {}
    first = chains.decisions.count - len(chains.decisions.recent)
    _add(decisions, first, chains.decisions.recent)
    _add(commands, chains.commands.count - len(chains.commands.recent), chains.commands.recent)
    left: dict[int, dict[str, Sealed]] = {}
    for link, seal in seals:
        left.setdefault(seal.first + len(seal.decisions), {})[link.short] = seal
    for number in sorted(left, reverse=True):
        if number > first:
            continue
        there = left[number]
        seal = there.get(decisions.get(number, ANY)) or next(iter(there.values()))
        _add(decisions, seal.first, seal.decisions)
        _add(commands, seal.commands_first, seal.commands)
        first = min(seal.first, number - 1)
    return (_filled(decisions, chains.decisions.count), _filled(commands, chains.commands.count))


def _filled(known: Mapping[int, str], count: int) -> dict[int, str]:
    return {number: known.get(number, ANY) for number in range(min(known, default=0), count)}


def _add(known: dict[int, str], first: int, digests: Sequence[str]) -> None:
    for nth, digest in enumerate(digests):
        known.setdefault(first + nth, digest)


def _compare(
    checked: AuditResult, place: tuple[str, int], links: Sequence[_Link], vouched: Mapping[int, str]
) -> None:
    """Find what differs between what stands there and what is vouched for."""
    numbers = sorted(vouched)
    expected = [vouched[number] for number in numbers]
    start = _start(links, expected)
    checked.unvouched += start
    actual = links[start:]
    found = list(_differences(place, actual, numbers, expected))
    checked.findings += _moved(found)
    checked.vouched += len(actual) - sum(kind != "removed" for kind, *_ in found)


def _start(links: Sequence[_Link], expected: Sequence[str]) -> int:
    """Where the chain begins: what stands before is from before there was one."""
    wanted = {digest: nth for nth, digest in enumerate(expected[:WINDOW]) if digest != ANY}
    starts = Counter(nth - wanted[link.short] for nth, link in enumerate(links) if link.short in wanted)
    return max(0, starts.most_common(1)[0][0]) if starts else max(0, len(links) - len(expected))


_Difference = tuple[str, str, AuditFinding]


def _differences(
    place: tuple[str, int], actual: Sequence[_Link], numbers: Sequence[int], expected: Sequence[str]
) -> Iterator[_Difference]:
    """Kind, digest and finding of each difference, in order."""
    here = there = 0
    while here < len(actual) or there < len(expected):
        if here < len(actual) and there < len(expected) and expected[there] in {actual[here].short, ANY}:
            here, there = here + 1, there + 1
            continue
        ours = [link.short for link in actual[here : here + WINDOW]]
        theirs = expected[there : there + WINDOW]
        same = next(
            (each for each in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()),
            None,
        )
        much, many = (same.a, same.b) if same is not None and same.size else (len(ours), len(theirs))
        both = min(much, many)
        for link in actual[here : here + both]:
            yield "changed", link.short, AuditFinding("changed", *place, link.offset, _told(link))
        for link in actual[here + both : here + much]:
            yield "inserted", link.short, AuditFinding("inserted", *place, link.offset, _told(link))
        for nth in range(there + both, there + many):
            before = actual[here - 1].offset if here else None
            after = "at the beginning" if before is None else f"after offset {before}"
            what = f"message number {numbers[nth]} of the chain, {after}"
            yield "removed", expected[nth], AuditFinding("removed", *place, before, what)
        here, there = here + much, there + many


def _moved(found: Sequence[_Difference]) -> list[AuditFinding]:
    """The findings; what was removed here and inserted there was moved."""
    gone = {digest for kind, digest, _ in found if kind == "removed"}
    moved = {digest for kind, digest, _ in found if kind != "removed" and digest in gone}
    told: list[AuditFinding] = []
    for kind, digest, each in found:
        if kind == "removed" and digest in moved:
            continue
        if digest in moved:
            told.append(AuditFinding("moved", each.topic, each.partition, each.offset, each.what))
        else:
            told.append(each)
    return told


def _told(link: _Link) -> str:
    """What stands in a message, in a few words."""
    try:
        wires = [decode(line) for line in lines_of(link.message.value)]
    except InvalidMessage as error:
        return f"what cannot be read: {error}"
    names = [str(getattr(each, "id", None) or getattr(each, "version", None) or "") for each in wires]
    kinds = ", ".join(
        f"{each.TYPE} {name}".strip() for each, name in zip(wires[:WINDOW], names, strict=False)
    )
    return kinds or "nothing"


def _rules(log: EventLog) -> Iterator[AuditFinding]:
    """The versions of the rules that are not what their names say, or not as they were put in force."""
    obeyed: dict[str, set[bytes]] = {}
    for each in records(log, COMMANDS.name, containing=b'"type":"rules"'):
        if isinstance(each.record, RulesChanged):
            obeyed.setdefault(each.record.version, set()).add(encode(each.record))
    for message in log.latest(RULES.name):
        what = _wrong_rules(message, obeyed)
        if what is not None:
            yield AuditFinding("rules", RULES.name, message.partition, message.offset, what)


def _wrong_rules(message: Message, obeyed: Mapping[str, set[bytes]]) -> str | None:
    record = None
    try:
        record = decode(message.value)
        right = isinstance(record, RulesChanged) and Rules.from_wire(record.rules).version == record.version
    except BanstreamError:
        right = False
    if not right or not isinstance(record, RulesChanged) or message.key != record.version:
        return "rules that are not what their version, a hash of them, says"
    if encode(record) not in obeyed.get(record.version, {encode(record)}):
        return f"rules {record.version} by {record.who or 'a role'}: they were put in force otherwise"
    return None


def checkpoint_of(log: EventLog, log_name: str, at_ms: int) -> dict[str, Any]:
    """How far the chains go, to be kept elsewhere."""
    parts = [Chains.load(position_of(log, number).get("chains", {})) for number in range(log.partitions)]
    return {
        "type": "checkpoint",
        "v": 1,
        "log": log_name,
        "at_ms": at_ms,
        "partitions": [
            {
                "decisions": {"count": each.decisions.count, "head": each.decisions.head},
                "commands": {"count": each.commands.count, "head": each.commands.head},
            }
            for each in parts
        ],
    }


def _against(
    checkpoint: Mapping[str, Any],
    number: int,
    walks: Sequence[tuple[str, Sequence[_Link], HashChain, Sequence[Sealed]]],
) -> Iterator[AuditFinding]:
    """Whether the chains of a partition go through the heads that a checkpoint has."""
    known = checkpoint["partitions"][number]
    for name, links, chain, seals in walks:
        kept = known[name.rpartition(".")[2]]
        reached = dict(_heads(links, chain, seals))
        if kept["count"] < min(reached, default=0):
            continue  # no longer kept
        if reached.get(kept["count"]) != kept["head"]:
            what = (
                f"its chain had {kept['count']} messages with the head {kept['head'][:SHORT]}..., and does "
                "not go through that now"
            )
            yield AuditFinding("checkpoint", name, number, None, what)


def _heads(links: Sequence[_Link], chain: HashChain, seals: Sequence[Sealed]) -> Iterator[tuple[int, str]]:
    """A chain's head after each count, from its first message that is kept on."""
    count, head = 0, NO_HEAD
    own = list(links[max(0, len(links) - chain.count) :])
    if len(own) < chain.count:
        if not seals:
            return
        count, head = seals[0].first + len(seals[0].decisions), seals[0].head
        own = own[len(own) - (chain.count - count) :] if len(own) >= chain.count - count else []
    yield count, head
    for nth, link in enumerate(own, start=count + 1):
        head = head_after(head, link.digest)
        yield nth, head


def _forget(vouched: dict[int, str], links: Sequence[_Link], retention_ms: int | None, now_ms: int) -> None:
    """Leave out what is vouched for and is past its retention: that it is gone is no finding."""
    if retention_ms is None or not links or now_ms - links[0].message.at_ms < retention_ms - DAY_MS:
        return
    there = {link.short for link in links}
    for number in sorted(vouched):
        if vouched[number] in there:
            return
        del vouched[number]
