"""A sample, to try a sink with: a ban of an address that belongs to nobody, marked as one."""

from __future__ import annotations

from secrets import token_hex
from typing import Final

from schemas.codec import encode
from schemas.errors import Transient
from schemas.records import Ban
from sinks.contract import Background, Item, Reception, Sending, SinkAnswer
from sinks.runner import SinkPlan

ADDRESS: Final = "192.0.2.1"
"""RFC 5737: of documentation."""
HOUR_MS: Final = 3_600_000
LINE: Final = "A sample of `banstream sink test`: nobody has tried to log in, and nobody is banned"


def sample(now_ms: int) -> Item:
    """A ban that never was."""
    ban = Ban(
        id="0-0-0-0",
        prefix=ADDRESS,
        jail="sample",
        at_ms=now_ms,
        until_ms=now_ms + HOUR_MS,
        count=5,
        ban_count=1,
        rules="sample",
        findtime_ms=HOUR_MS // 6,
        lines=(LINE,),
    )
    known = Background(
        now_ms, ("sample",), ("sample",), ("sample",), ("sample",), (LINE,), technique="T1110.001"
    )
    ident = f"sample-{token_hex(8)}"
    return Item(ident, "0-0-0", "decisions", "ban", ADDRESS, "sample", ban, encode(ban), known, sample=True)


def send_sample(plan: SinkPlan, now_ms: int) -> SinkAnswer:
    """Hand a sample over, once; what the receiver said."""
    item = sample(now_ms)
    try:
        (answer, *_) = plan.transport.send([Sending(item, plan.write(item))])
    except Transient as error:
        return SinkAnswer(Reception.AGAIN, str(error))
    finally:
        plan.transport.close()
    return answer
