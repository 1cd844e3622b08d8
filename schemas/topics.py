"""The topics of the event log, and which partition a prefix belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

from schemas.addresses import network_of, parse_prefix

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        name: its name in every log.
        compacted: only the last record of a key is kept; an empty value is a tombstone.
        retention_ms: how long records are kept, in milliseconds; None keeps them for ever.
        partitioned: it has all the partitions of the log; any other has one.
    """

    name: str
    compacted: bool = False
    retention_ms: int | None = None
    partitioned: bool = False


EVENTS: Final = Topic("banstream.events", retention_ms=30 * DAY_MS, partitioned=True)
"""Shippers write here: authentication events, and nothing else counts."""
COMMANDS: Final = Topic("banstream.commands", partitioned=True)
"""Operators alone write here, and never in a transaction: one left open would hold up all others."""
SUBJECTS: Final = Topic("banstream.subjects", retention_ms=30 * DAY_MS, partitioned=True)
"""What a partition's decider has seen of whom another one counts: users, who fail from everywhere."""
VERDICTS: Final = Topic("banstream.verdicts", retention_ms=30 * DAY_MS, partitioned=True)
"""What those who count users find, for the partitions of the addresses concerned."""
DECISIONS: Final = Topic("banstream.decisions", retention_ms=400 * DAY_MS, partitioned=True)
BANS: Final = Topic("banstream.bans", compacted=True)
STATE: Final = Topic("banstream.state", compacted=True, partitioned=True)
ENFORCEMENTS: Final = Topic("banstream.enforcements", retention_ms=30 * DAY_MS)
RULES: Final = Topic("banstream.rules", compacted=True)
DEADLETTERS: Final = Topic("banstream.deadletters", retention_ms=30 * DAY_MS)

ALL: Final = (
    EVENTS,
    COMMANDS,
    SUBJECTS,
    VERDICTS,
    DECISIONS,
    BANS,
    STATE,
    ENFORCEMENTS,
    RULES,
    DEADLETTERS,
)
BY_NAME: Final = {topic.name: topic for topic in ALL}


def partition_of(prefix: str, partitions: int) -> int:
    """The partition of an address or prefix, in 0..partitions-1: the CRC-32 of its network.

    The network is the /24 (IPv4) or /48 (IPv6) around the prefix's first address, as text; CRC-32 as
    zlib computes it. It is part of the wire contract: changing it would split a subject's history.
    """
    if partitions == 1:
        return 0
    return crc32(network_of(prefix).encode("ascii")) % partitions


def partition_of_user(user: str, partitions: int) -> int:
    """The partition that counts a user: the CRC-32 of the name as UTF-8. It is part of the wire contract."""
    return 0 if partitions == 1 else crc32(user.encode("utf-8", "surrogatepass")) % partitions


def partition_of_address(address: str, partitions: int) -> int:
    """As partition_of, for an address that is known to be canonical; IPv4 takes a tenth of the time."""
    if partitions == 1 or ":" in address:
        return partition_of(address, partitions)
    return crc32(f"{address[: address.rindex('.')]}.0/24".encode("ascii")) % partitions


def spans_partitions(prefix: str) -> bool:
    """Whether a prefix is wider than a partition's network, so that it concerns every partition."""
    network = parse_prefix(prefix)
    return network.prefixlen < (24 if network.version == 4 else 48)  # noqa: PLR2004 - IP versions
