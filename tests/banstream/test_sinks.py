"""Sinks as a person runs them: by `up`, by `banstream sink`, killed at any moment."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from eventlog.sqlite import SqliteLog
from schemas.topics import EVENTS
from tests.banstream.service import Service, eventually, say, service
from tests.sinks.following import failed, put

NULL = 'backend = "null"'


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Service]:
    """A service that bans nobody really; not running yet."""
    with service(tmp_path) as found:
        yield found


def sent(file: Path) -> list[dict[str, Any]]:
    """What a file sink has written so far."""
    return (
        [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    )


def test_a_real_log_reaches_a_real_file(made: Service) -> None:
    """`up` sends what it reads, decides and does; a jail's action carries that jail's decisions alone."""
    everything, mine = made.folder / "all.json", made.folder / "mine.json"
    made.configure(
        'maxretry = 3\nactions = ["mine"]',
        enforcer=NULL,
        more=f'[sink.all]\nto = "file:{everything}"\n[sink.mine]\nto = "file:{mine}"\non = ["ban"]\n',
    )
    made.start()
    made.fail("192.0.2.7", 3)
    eventually(lambda: sent(mine), "the ban is in the file")
    made.run("ban", "192.0.2.8", "--config", str(made.config), code=1)
    eventually(lambda: sum(each["type"] == "enforcement" for each in sent(everything)) == 2, "all is sent")
    kinds = Counter(each["type"] for each in sent(everything))
    assert kinds == {"auth": 3, "ban": 2, "enforcement": 2, "command": 1}
    (ban,) = sent(mine)
    assert (ban["prefix"], ban["users"], ban["services"]) == ("192.0.2.7", ["root"], ["sshd"])
    assert made.stop() == 0
    (facts,) = made.json("status", code=1)
    assert [(each["name"], each["sent"]) for each in facts["sinks"]] == [("all", 8), ("mine", 1)]
    made.start()
    made.stop()
    again = Counter(each["uid"] for each in sent(everything) if each["type"] != "enforcement")
    assert set(again.values()) == {1}
    assert len(again) == 6


def test_a_receiver_that_is_away_slows_nobody_down(made: Service) -> None:
    """Bans take effect meanwhile; `status` says what it waits for; later it gets all of them."""
    folder = made.folder / "away"
    made.configure(
        "maxretry = 3", enforcer=NULL, more=f'[sink.out]\nto = "file:{folder}/bans.json"\non = ["ban"]\n'
    )
    made.start()
    made.fail("192.0.2.7", 3)
    eventually(lambda: "Would Ban 192.0.2.7" in made.errors, "the ban takes effect")
    eventually(lambda: "A sink waits to send again" in made.errors, "it says so")
    said = eventually(
        lambda: next((line for line in say(made, "status").splitlines() if "sink out waits" in line), ""),
        "status says so",
    )
    assert "No such file or directory" in said
    folder.mkdir()
    eventually(lambda: sent(folder / "bans.json"), "it is sent after all")
    made.stop()


def test_a_role_of_its_own_takes_over_and_the_older_one_ends(made: Service) -> None:
    """Each sink runs once, wherever it is started twice."""
    file = made.folder / "all.json"
    made.configure(enforcer=NULL, more=f'[sink.all]\nto = "file:{file}"\n')
    made.start()
    with made.popen("sink", "all", "--config", str(made.config), stderr=subprocess.DEVNULL) as role:
        try:
            eventually(lambda: _epoch(made) >= 2, "it has taken over")
            time.sleep(1)
            made.fail("192.0.2.7", 1)
            eventually(lambda: sent(file), "an event is sent")
            eventually(lambda: "another sink of this name was started" in made.errors, "the older one ends")
            assert len(sent(file)) == 1
        finally:
            role.send_signal(signal.SIGTERM)
        assert role.wait(20) == 0
    made.stop()


def _epoch(made: Service) -> int:
    """How many followers of the sink `all` there were."""
    log = SqliteLog.open(made.folder / "state/log.db", read_only=True)
    try:
        rows = log._db.execute("SELECT epoch FROM writers WHERE name = 'follower/sink/all'").fetchall()  # noqa: SLF001
    finally:
        log.close()
    return int(rows[0][0]) if rows else 0


def test_killed_thirty_times_it_loses_nothing(made: Service) -> None:
    """Each event is in the file, whole; what is there twice is there under one id."""
    file = made.folder / "all.json"
    made.configure(enforcer=NULL, more=f'[sink.all]\nto = "file:{file}"\nstart = "beginning"\nbatch = 37\n')
    log = SqliteLog.open(made.folder / "state/log.db")
    written = 0
    ended = False

    def write() -> None:
        nonlocal written
        while not ended:
            put(log, EVENTS, *(failed(written + number) for number in range(40)))
            written += 40
            time.sleep(0.1)

    writer = Thread(target=write)
    writer.start()
    chance = random.Random(16)
    try:
        for _ in range(30):
            role = made.popen("sink", "--quiet", "--config", str(made.config))
            time.sleep(0.35 + 0.4 * chance.random())
            role.kill()
            role.wait()
    finally:
        ended = True
        writer.join()
    role = made.popen("sink", "--quiet", "--config", str(made.config))
    put(log, EVENTS, failed(written))  # whoever sends it has started
    written += 1
    try:
        eventually(lambda: len({each["uid"] for each in sent(file)}) >= written, "all of them are sent", 90)
    finally:
        role.send_signal(signal.SIGTERM)
        assert role.wait(20) == 0
        log.close()
    found = sent(file)
    bodies = {each["uid"]: each for each in found}
    assert len(bodies) == written > 1_000
    assert all(bodies[each["uid"]] == each for each in found)
    assert {each["position"] for each in found} == set(range(written))


def test_a_sample_is_sent_and_marked(made: Service) -> None:
    """`banstream sink test` says whether the receiver took it."""
    file = made.folder / "all.json"
    made.configure(enforcer=NULL, more=f'[sink.all]\nto = "file:{file}"\n[sink.no]\nto = "file:/nowhere/x"\n')
    said = made.run("sink", "test", "all", "--config", str(made.config)).stdout
    assert said == f"Taken by file:{file}: a sample in json.\n"
    (sample,) = sent(file)
    assert (sample["sample"], sample["prefix"]) == (True, "192.0.2.1")
    done = made.run("sink", "test", "no", "--config", str(made.config), code=1)
    assert done.stderr == "banstream: not taken by file:/nowhere/x: /nowhere/x: No such file or directory\n"
    done = made.run("sink", "test", "al", "--config", str(made.config), code=2)
    assert "there is no [sink.al]" in done.stderr
    assert "there are all, no" in done.stderr


def test_a_reload_takes_new_sinks_and_leaves_the_others_alone(made: Service) -> None:
    """A sink that is gone ends; one that is wrong is refused, and all goes on as it was."""
    one, two = made.folder / "one.json", made.folder / "two.json"
    made.configure(enforcer=NULL, more=f'[sink.one]\nto = "file:{one}"\nwhat = "events"\n')
    made.start()
    made.fail("192.0.2.7", 1)
    eventually(lambda: len(sent(one)) == 1, "one has it")
    made.configure(enforcer=NULL, more=f'[sink.two]\nto = "file:{two}"\nwhat = "events"\n')
    made.run("reload", "--config", str(made.config))
    made.fail("192.0.2.8", 1)
    eventually(lambda: len(sent(two)) == 1, "two has it")
    assert len(sent(one)) == 1
    made.configure(enforcer=NULL, more='[sink.two]\nto = "nonsense:"\n')
    made.run("reload", "--config", str(made.config), code=2)
    made.fail("192.0.2.9", 1)
    eventually(lambda: len(sent(two)) == 2, "two goes on")
    made.stop()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[sink.a]\nto = "fiel:/x"', 'sink.a.to = "fiel:/x": expected a receiver: one of '),
        ('[sink.a]\nformat = "json"', "sink.a.to = nothing: expected a receiver"),
        ('[sink.a]\nto = "file:x"', "expected file: and an absolute path"),
        ('[sink.a]\nto = "stdout:"\nformat = "xml"', "sink.a.format"),
        ('[sink.a]\nto = "stdout:"\non = ["baned"]', "sink.a.on"),
        ('[sink.a]\nto = "stdout:"\nwhat = "events"\non = ["ban"]', "expected happenings of events"),
        ('[sink.a]\nto = "stdout:"\nwher = 1', "did you mean where?"),
        ('[sink.a]\nto = "stdout:"\nwhere = { jial = "x" }', "did you mean jail?"),
        ('[sink.test]\nto = "stdout:"', "a name of up to 64 letters"),
        ('[sink."a b"]\nto = "stdout:"', "a name of up to 64 letters"),
        ('[sink.mail]\nto = "stdout:"\n[jail.x]\nfilter = "sshd"\nactions = "mial"', "did you mean mail?"),
    ],
)
def test_what_is_wrong_with_a_sink_is_said(made: Service, lines: str, said: str) -> None:
    """With file, key, value, and what was expected."""
    made.configure(enforcer=NULL, more=lines)
    done = made.run("config", "check", "--config", str(made.config), code=2)
    assert said in done.stderr


def test_what_config_show_says_can_be_read_again_and_holds_no_secret(made: Service) -> None:
    """Every key with its default; of a header its name alone."""
    more = (
        '[sink.a]\nto = "webhook+https://example.org/x?token=s3cret"\nheaders = { "X-Key" = "s3cret" }\n'
        'timeout = "5s"\n[sink.b]\nto = "mail:root"\n'
        '[sink.c]\nto = "script:"\ncommand = ["/bin/true", "<ip>"]\n'
    )
    made.configure(enforcer=NULL, more=more)
    text = made.run("config", "show", "--config", str(made.config)).stdout
    assert "s3cret" not in text
    assert 'timeout = "5s"' in text
    assert 'every = "1m"' in text
    assert 'command = ["/bin/true", "<ip>"]' in text
    file = made.folder / "again.toml"
    file.write_text(text, encoding="utf-8")
    again = made.run("config", "show", "--config", str(file)).stdout
    assert again.splitlines()[1:] == text.splitlines()[1:]
