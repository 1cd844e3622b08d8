"""Any jails that the rules accept, together: whatever comes, nothing fails, and a restart changes nothing."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.errors import InvalidMessage
from schemas.records import Decision
from schemas.rules import Rules
from schemas.sparing import command_id
from streams.decider import Decider
from streams.routes import route_to
from streams.runs import Run
from streams.window import reference
from tests.streams.folding import MINUTE, SECOND, T0, restarted, tick
from tests.streams.test_networks import command

ADDRESSES = ["192.0.2.1", "192.0.2.2", "192.0.3.1", "2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:3::1"]
ASKED = ("/bin/ours", "<ip>")
ONE_OF: dict[str, list[Any]] = {
    "maxretry": [1, 2, 3],
    "findtime_ms": [0, 5 * SECOND, MINUTE, 10 * MINUTE],
    "bantime_ms": [0, 7 * SECOND, 2 * MINUTE, None],
    "kinds": [[], ["request"], ["failed", "probed"], ["failed", "succeeded"]],
    "ignoreip": [["192.0.2.2"], ["2001:db8:1:2::2/128"]],
    "window": ["fail2ban", "leaky"],
    "distinct": ["user", "address", "port"],
    "count": ["user", "address and user"],
    "ipv4_prefix": [24],
    "ipv6_prefix": [48, 64],
    "forgive": [True],
    "halve": [True],
    "known_good_ms": [5 * SECOND, 10 * MINUTE],
    "prolong": [True],
    "on": ["bans"],
    "decoy_users": [["oracle"]],
    "decoy_paths": [["/.env*"]],
    "ignorecommand": [list(ASKED)],
    "hosts": [["one"]],
    "labels": [{"role": "edge"}],
    "scope": [{"unless": {"country": ["XB"]}}, {"where": {"asn": [64_500]}}],
    "first_scope": [{"where": {"country": ["XA"]}}],
    "increment": [{"rndtime_ms": MINUTE}, {"overalljails": True, "formula": "ban.Time * 2"}],
    "escalate": [{"addresses": 2, "bantime_ms": MINUTE}, {"addresses": 2, "spared": "parts"}],
    "steps": [
        [{"findtime_ms": MINUTE, "maxretry": 4, "bantime_ms": None}],
        [{"findtime_ms": MINUTE, "maxretry": 5, "bantime_ms": 9, "scope": {"where": {"country": ["XA"]}}}],
    ],
    "behaviour": [{"least": 1, "deviations": 1, "tighten": True}, {"least": 1}],
}
"""What a jail may say, beside what is usual."""


def _is_accepted(jail: dict[str, Any]) -> bool:
    try:
        Rules.from_wire({"lateness_ms": 0, "max_subjects": 9, "jails": [jail]})
    except InvalidMessage:
        return False
    return True


def together(some: dict[str, Any]) -> dict[str, Any]:
    """Of what a jail says as much as is accepted, in the order of its words."""
    kept: dict[str, Any] = {}
    for key, value in some.items():
        if _is_accepted({"name": "a", "filters": [], **kept, key: value}):
            kept[key] = value
    return kept


def some_jail(chance: Random, name: str) -> dict[str, Any]:
    """A jail of a name that says some of all this, as far as it goes together."""
    keys = chance.sample(sorted(ONE_OF), chance.randint(0, 12))
    return {"name": name, "filters": ["sshd"], **together({key: chance.choice(ONE_OF[key]) for key in keys})}


def some_rules(chance: Random) -> dict[str, Any]:
    """Three such jails, with room for many or for few."""
    return {
        "lateness_ms": chance.choice([0, MINUTE, 60 * MINUTE]),
        "max_subjects": chance.choice([2, 1_000]),
        "jails": [some_jail(chance, name) for name in ("one", "two", "three")],
    }


def some_act(chance: Random) -> tuple[Any, ...]:
    """An event mostly; or a command, or time."""
    kind = chance.choices(["event", "command", "tick"], [85, 8, 5])[0]
    match kind:
        case "event":
            return (kind, *map(chance.choice, EVENT))
        case "command":
            return chance.choice(["unban", "allow", "disallow", "forgive", "ban"]), chance.choice(ADDRESSES)
        case _:
            return kind, chance.choice([1, 60, 4_000])


EVENT: list[list[Any]] = [
    ["failed"] * 6 + ["succeeded", "probed", "request", "request"],
    ADDRESSES,
    [-70, -1, 0, 0, 1, 5, 61],
    [None, "root", "oracle", "x" * 99],
    [None, 22, 23],
    [1, 1, 2, 1_000_000],
    [None, "/", "/.env", "/" + "*" * 99],
    [(None, None), ("XA", None), ("XB", 64_500), ("", 0)],
    [(), (command_id(ASKED),)],
]
"""Of an event: kind, address, seconds since the last, user, port, times, path, where, what spares it."""


def decided(rules: Rules, acts: list[tuple[Any, ...]], restarts: set[int]) -> list[bytes]:
    """What is decided and alerted of these acts, with restarts before these of them."""
    decider, at_ms, found = Decider(rules, tracking=True), T0, list[bytes]()
    checkpoint: dict[str, bytes] = {}
    for place, (act, *facts) in enumerate(acts):
        if place in restarts:
            decider = restarted(decider, checkpoint)
        decisions: list[Decision] = []
        match act:
            case "event":
                kind, ip, seconds, user, port, times, path, (country, asn), spared = facts
                at_ms += max(0, seconds) * SECOND
                told_ms = at_ms + min(0, seconds) * SECOND
                row = (kind, told_ms, ip, 0, None, user, port, times, path)
                regions = decider.routes.regions.of(country, asn, spared)
                route = route_to("sshd", "file:/log", "one", {"role": "edge"}, regions)
                decoy = user if user in decider.routes.decoys else ""
                run = Run(reference(place), route if decider.routes.selective else "sshd", [row], decoy)
                decisions = decider.fold(run, lambda index: f"line {index}")
            case "tick":
                at_ms += facts[0] * SECOND
                decisions = tick(decider, at_ms)
            case _:
                decisions = command(decider, act, facts[0])
        found += [encode(each) for each in (*decisions, *decider.alerts())]
        decider._reference = reference(place)  # noqa: SLF001 - as a log has it
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_any_jails_decide_the_same_after_any_restart(seed: int) -> None:
    """Whatever they say, and whatever comes: no exception, and the same to the byte."""
    chance = Random(seed)
    rules = Rules.from_wire(some_rules(chance))
    acts = [some_act(chance) for _ in range(120)]
    restarts = set(chance.sample(range(120), 8))
    assert decided(rules, acts, restarts) == decided(rules, acts, set())
