"""`banstream shadow JAIL`: what a jail that only observes would have done, beside the jails that ban."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import click

from banstream.config import load_settings
from banstream.differing import BansUnder, Difference, compare, in_log, sentences, told
from banstream.instants import Instant
from banstream.options import config_option, json_option
from banstream.reading import open_to_read, records
from banstream.show import counted, json_line, say
from eventlog.contract import EventLog
from schemas.records import Ban, Prolong
from schemas.topics import DECISIONS

MOST_FAILURES: Final = 3


@click.command("shadow")
@click.option(
    "--with", "live", multiple=True, metavar="JAIL", help="Compare with these jails [default: all]."
)
@click.option("--since", type=Instant(), default="7d", metavar="INSTANT", help="[default: 7d]")
@json_option
@config_option
@click.argument("jail")
def shadow_command(
    jail: str, *, live: tuple[str, ...], since: int, as_json: bool, config_file: str | None
) -> int:
    r"""What a jail with mode = "observe" would have done that those that ban did not, and the other way.

    \b
    banstream shadow strict
    banstream shadow strict --with sshd --since 30d

    Of each prefix: banned by the shadow alone, by the others alone, sooner, later, longer, with the failures
    that make the difference. Exit code 1 when the shadow has banned nobody.
    """
    log = open_to_read(load_settings(config_file, check="log"))
    try:
        shadow, others = _banned(log, jail, live, since)
        difference = told(compare(others, shadow), partial(in_log, log))
    finally:
        log.close()
    _print(jail, difference, (len(others.bans), len(shadow.bans)), as_json=as_json)
    return 0 if shadow.bans else 1


def _banned(log: EventLog, jail: str, live: Sequence[str], since_ms: int) -> tuple[BansUnder, BansUnder]:
    """The bans of the shadow, and those of jails that ban, as if all were one jail's."""
    shadow, others = BansUnder(), BansUnder()
    for each in records(log, DECISIONS.name, since_ms=since_ms):
        decision = each.record
        if not isinstance(decision, Ban | Prolong):
            continue
        if decision.shadow and decision.jail == jail:
            shadow.take([decision])
        elif not decision.shadow and decision.jail != jail and (not live or decision.jail in live):
            others.take([replace(decision, jail=jail)])
    return shadow, others


def _print(jail: str, difference: Difference, bans: tuple[int, int], *, as_json: bool) -> None:
    if as_json:
        for each in difference.changes:
            json_line(each.to_wire())
        return
    for each in difference.changes:
        for line in sentences(each, MOST_FAILURES):
            say(line)
    kinds = [each.change for each in difference.changes]
    say(
        f"{counted(bans[0], 'ban')} by those that ban, {bans[1]} by {jail}, which only observes: it alone "
        f"would ban {kinds.count('added')}, the others alone {kinds.count('removed')}, both otherwise "
        f"{kinds.count('changed')}, alike {difference.same}."
    )
