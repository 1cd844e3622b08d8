"""A jail that only observes beside one that bans, from lines in a log to packets that are dropped."""

from __future__ import annotations

import json

import pytest

from tests.banstream.service import Service, eventually, say
from tests.banstream.test_policies import FOUR, reaches
from tests.namespaces import Fleet

STRICT = """
[jail.strict]
filter = "sshd"
source = "file:{log}"
start = "beginning"
maxretry = 2
mode = "{mode}"
[sink.all]
to = "file:{folder}/all.jsonl"
format = "json"
what = ["decisions"]
[sink.shadows]
to = "file:{folder}/shadows.jsonl"
format = "json"
on = ["shadow ban"]
"""


def configure(up: Service, mode: str) -> None:
    """A jail of three failures that bans, and one of two."""
    up.configure("maxretry = 3", more=STRICT.format(log=up.log, folder=up.folder, mode=mode))


def sent(up: Service, name: str) -> list[tuple[str, str, bool]]:
    """What a sink has written: type, jail, whether of a shadow."""
    file = up.folder / f"{name}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = [json.loads(line) for line in lines]
    return [(each["type"], each["jail"], each.get("shadow", False)) for each in found]


def holders(up: Service) -> set[str]:
    """The jails whose bans are in force."""
    return {hold["jail"] for each in up.json("bans") for hold in each["holds"]}


@pytest.mark.real("nftables")
def test_a_shadow_is_recorded_and_enforced_nowhere(up: Service, net: Fleet) -> None:
    """Told apart in all that is said; of who both would ban the live one bans; a reload puts it in force."""
    for last in (1, 2):
        net["attacker"].add(f"{FOUR}{last}")
    configure(up, "observe")
    up.start()
    up.fail(f"{FOUR}1", 2)
    eventually(lambda: [each.jail for each in up.bans()] == ["strict"], "the shadow has decided")
    assert not up.json("bans", code=1)
    assert reaches(net, f"{FOUR}1")
    explained = say(up, "explain", f"{FOUR}1")
    assert explained.startswith(f"{FOUR}1: not banned")
    assert "shadow   1 ban by strict, which only observes" in explained
    assert "SHADOW BAN" in explained
    up.fail(f"{FOUR}1")
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "the live one bans")
    assert holders(up) == {"sshd"}
    assert "[strict] Would Ban" in up.errors
    assert "observes: 2 failures" in say(up, "status")
    (change,) = up.json("shadow", "strict")
    assert (change["prefix"], change["how"]) == (f"{FOUR}1", ["sooner"])
    assert "alike 0" in say(up, "shadow", "strict")
    eventually(lambda: sent(up, "shadows") == [("ban", "strict", True)], "the sink that asked has it")
    eventually(lambda: sent(up, "all") == [("ban", "sshd", False)], "others have what is in force")
    configure(up, "ban")
    up.run("reload", "--config", str(up.config))
    up.fail(f"{FOUR}2", 2)
    eventually(lambda: up.elements() == {f"{FOUR}1", f"{FOUR}2"}, "it bans")
    assert holders(up) == {"sshd", "strict"}
    configure(up, "observe")
    up.run("reload", "--config", str(up.config))
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "it has let go")
    assert up.stop() == 0
