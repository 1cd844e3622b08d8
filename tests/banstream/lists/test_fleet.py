"""`banstream lists` in a fleet, on the real broker: what is pushed holds for workers, kills and replays."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from schemas.records import Ban, ListChanged, Unban
from schemas.topics import COMMANDS, partition_of
from tests.banstream.service import BANSTREAM, eventually
from tests.banstream.test_rules import ask
from tests.broker import Cluster
from tests.streams.fleet import RULES, Fleet, fleet, now_ms, records
from tests.streams.folding import failure

FRIENDS = ["192.0.2.1", "198.51.100.2", "2001:db8::1"]
FOES = ["203.0.113.1", "203.0.114.2"]
WIDE = "10.0.0.0/15"


def attack(made: Fleet, ips: list[str], nth: int) -> None:
    """Three failures of each address."""
    at_ms = now_ms()
    made.send(
        [[failure(ip, at_ms, nth * 1_000 + place * 10 + n) for n in range(3)] for place, ip in enumerate(ips)]
    )


@pytest.mark.real("kafka")
@pytest.mark.parametrize("membership", ["faust", "aiokafka"])
def test_what_is_pushed_holds_from_then_on(broker: Cluster, tmp_path: Path, membership: str) -> None:
    """Each partition has its share, each what is wide; a kill changes nothing, a replay decides the same."""
    friends = tmp_path / "friends"
    friends.write_text("\n".join([*FRIENDS, WIDE]))
    with fleet(broker.url(2), tmp_path, membership) as made:
        made.configure(RULES.replace("ignoreip = []", f'ignoreip = ["file:{friends}"]'))
        ask(made, "rules", "push")
        made.start()
        attack(made, [*FRIENDS, *FOES, "10.0.0.1", "10.1.9.9"], 1)
        eventually(lambda: made.in_force() == set(FOES), f"the foes are banned; {made.said[-2_000:]}")
        for number in (0, 1):
            (part,) = (
                each for each in records(made.log, COMMANDS.name, number) if isinstance(each, ListChanged)
            )
            assert set(part.prefixes) == {WIDE, *(ip for ip in FRIENDS if partition_of(ip, 2) == number)}
        (shown,) = ask(made, "lists", "show")
        assert (shown["name"], shown["prefixes"]) == (f"file:{friends}", 4)
        assert {each["prefix"] for each in ask(made, "lists", "show", f"file:{friends}")} == {*FRIENDS, WIDE}

        made.workers[0].kill()
        friends.write_text("\n".join([*FRIENDS, FOES[0]]))
        assert ask(made, "lists", "push")[0]["changed"] == [f"file:{friends}"]
        assert ask(made, "lists", "push")[0]["changed"] == []
        made.start()
        eventually(lambda: made.in_force() == {FOES[1]}, f"one is a friend now; {made.said[-2_000:]}")
        attack(made, [*FRIENDS, FOES[0], "10.0.0.1"], 2)
        eventually(lambda: made.in_force() == {FOES[1], "10.0.0.1"}, "who is none any more is banned")
        made.settled()
        decided = made.decisions()
        assert {each.prefix for each in decided if isinstance(each, Ban)} == {*FOES, "10.0.0.1"}
        assert [each.why for each in decided if isinstance(each, Unban)] == [f"in the list file:{friends}"]

        friends.unlink()
        (pushed,) = ask(made, "lists", "push")
        assert (pushed["changed"], pushed["unread"]) == ([], [])
        assert "it is not there" in pushed["problems"][0]


@pytest.mark.real("kafka")
def test_a_push_may_go_on(broker: Cluster, tmp_path: Path) -> None:
    """`--keep` pushes what changes, until SIGTERM; without a file there is nothing, exit code 1."""
    friends = tmp_path / "friends"
    with fleet(broker.url(1), tmp_path) as made:
        config = str(made.configure(RULES.replace("ignoreip = []", f'ignoreip = ["file:{friends}"]')))
        (nothing,) = ask(made, "lists", "push", code=1)
        assert nothing["unread"] == [f"file:{friends}"]
        assert ask(made, "lists", "show", code=1) == []
        friends.write_text(FRIENDS[0])
        keeping = subprocess.Popen(
            [*BANSTREAM, "lists", "push", "--keep", "--config", config], stdout=subprocess.DEVNULL
        )
        try:
            eventually(lambda: ask(made, "lists", "show", code=None), "it is there")
            friends.write_text("\n".join(FRIENDS))
            eventually(lambda: ask(made, "lists", "show")[0]["prefixes"] == 3, "the change is there")
        finally:
            keeping.terminate()
            assert keeping.wait(30) == 0
