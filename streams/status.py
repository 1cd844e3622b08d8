"""How a decider is: one record of counts kept as things happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeciderStatus:
    """A decider, over all partitions of a process, at a moment.

    Attributes:
        jails: by name: subjects `failing`, `banned` and `ignored` now; `failures`, `bans`, `dropped` ever;
            of those that watch their behaviour `alerts` ever, and how many measures are `unusual` now.
        next_offsets: by partition, the first offset of the events that is not folded yet.
        next_commands: the same of the commands.
        events: events folded since the start.
        sent_again: events passed over since the start because they had been folded before.
        refused: lines sent to the dead letters since the start.
        stepped_back: how often the log's clock stepped back by more than five minutes since the start.
    """

    jails: Mapping[str, Mapping[str, int]]
    next_offsets: tuple[int, ...]
    next_commands: tuple[int, ...]
    events: int
    sent_again: int
    refused: int
    stepped_back: int
