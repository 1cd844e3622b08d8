"""Telling a person what the fold noticed about those who send: each thing once, or when it has changed."""

from __future__ import annotations

from collections import Counter
from logging import getLogger
from typing import Final

from streams.floods import Author
from streams.witness import Witness

CHANGED_MS: Final = 60_000
MOST_SENDERS: Final = 5
"""Who floods may change his name with each message: so many are named each time."""

log = getLogger("banstream.streams")


class Notices:
    """What one worker has told so far, of all its partitions."""

    def __init__(self) -> None:
        self._clocks: dict[str, int] = {}
        self._twins: set[tuple[str, str]] = set()

    def tell(self, witness: Witness) -> None:
        """Log what is new, and take it out."""
        for host, behind_ms in witness.wrong_clocks.items():
            if abs(self._clocks.get(host, 0) - behind_ms) > CHANGED_MS:
                self._clocks[host] = behind_ms
                log.warning(
                    "A host's clock is wrong; its events count at the log's time, but set it right: when its "
                    "bans end is a matter of clocks, too host=%s behind_s=%.0f",
                    host,
                    behind_ms / 1_000,
                )
        for host, source in witness.twins - self._twins:
            log.warning(
                "Two shippers send the same source under one name; nothing is lost, but what both read "
                "counts twice. Give each host its own name ([ship] host), and run one shipper on each "
                "host=%s source=%s",
                host,
                source,
            )
        for (source, incarnation), events in witness.sent_again.items():
            log.warning(
                "Events were sent again and do not count twice; that is as it should be after a crash or an "
                "outage, else two senders say they are one source=%s incarnation=%s events=%d",
                source,
                incarnation,
                events,
            )
        for reason, messages in witness.refused.items():
            log.warning(
                "Messages of the events do not count because of who signed them, or did not; the dead "
                "letters have them reason=%s messages=%d",
                reason,
                messages,
            )
        _tell_floods(witness.put_aside)
        if witness.stepped_back:
            log.warning("The log's clock stepped back by more than five minutes; time was set back with it")
        self._twins |= witness.twins
        witness.wrong_clocks.clear()
        witness.twins.clear()
        witness.sent_again.clear()
        witness.refused.clear()
        witness.put_aside.clear()
        witness.stepped_back = 0


def _tell_floods(put_aside: Counter[Author]) -> None:
    """Name the worst, and say how many there are: events that could be read are among what does not count."""
    for sender, messages in put_aside.most_common(MOST_SENDERS):
        log.error(
            "What a sender ships is put aside, since most of it cannot be read; he counts again when no line "
            "of his was unreadable for ten minutes. The dead letters say what it was "
            "sender=%s messages=%d senders=%d",
            sender,
            messages,
            len(put_aside),
        )
