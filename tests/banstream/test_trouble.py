"""What goes wrong on real machines: a second `up`, a full disk, vanishing files, others in the firewall."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from eventlog.claim import Claim
from eventlog.sqlite import SqliteLog
from schemas.records import Enforcement
from schemas.topics import ENFORCEMENTS
from tests.banstream.service import Service, eventually, service
from tests.eventlog.test_full_disk import occupy
from tests.namespaces import Fleet

pytestmark = pytest.mark.real("nftables")

ATTACKER, OTHER = "203.0.113.66", "198.51.100.7"
NOBODY = 65_534
AS_NOBODY = (
    *(
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--inh-caps=-all,+dac_read_search",
    ),
    *("--ambient-caps=-all,+dac_read_search", "--bounding-set=-all,+dac_read_search"),
)
"""A user without rights, but to read: the interpreter may lie below /root."""
WITHOUT_CAPABILITIES = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
"""The file's modes hold for this root, too."""
REPAIR_S = 2.0


@pytest.fixture
def powerless(net: Fleet) -> Iterator[Service]:
    """The same as a user without rights, in a folder of its own."""
    folder = Path(mkdtemp(prefix="banstream-nobody-"))
    try:
        with service(folder, net["server"]) as made:
            made.prefix = AS_NOBODY
            for path in (folder, made.log, made.config):
                os.chown(path, NOBODY, NOBODY)
            yield made
    finally:
        shutil.rmtree(folder)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A real file system of 2 MB in a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_second_up_on_the_same_log_says_who_holds_it(up: Service) -> None:
    """It exits with 3 and names the process; the first goes on as if nothing had been."""
    up.start()
    assert up.process is not None
    done = up.run("up", "--config", str(up.config), code=3)
    assert f"in use by another `up`, process {up.process.pid}; stop that one first" in done.stderr
    assert "Traceback" not in done.stderr
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "the first goes on")


def test_a_full_disk_under_the_log_ends_no_protection(up: Service) -> None:
    """`up` bans meanwhile and says so, `status` too; with room all of it is in the log, once."""
    with small_disk(up.folder / "state") as disk:
        up.configure(JAIL.format(3))
        up.start()
        for maxretry, ip in ((3, ATTACKER), (2, OTHER)):
            filler, before = occupy(disk), len(up.errors)
            fill_up(up, before)
            up.fail(ip, maxretry)
            eventually(lambda ip=ip: ip in up.elements(), "it bans on a full disk")  # type: ignore[misc]
            (status,) = up.json("status")
            assert status["running"]
            assert any("its disk is full" in notice for notice in status["notices"])
            assert ip not in {ban.prefix for ban in up.bans()}
            up.configure(JAIL.format(maxretry - 1))
            up.send(signal.SIGHUP)
            filler.unlink()
            wait_for(up, before, "Configuration reloaded")
            wait_for(up, before, "what was held in memory is in it")
        lines = up.log.read_text(encoding="utf-8").splitlines()
        eventually(lambda: len(up.events()) >= len(lines), "every line is an event")
        assert Counter(event.line for event in up.events()) == Counter(lines)
        assert up.elements() == {ATTACKER, OTHER}
        assert [ban.prefix for ban in up.bans()] == [ATTACKER, OTHER]
        eventually(lambda: not up.json("status")[0]["notices"], "status is well again")
        assert up.stop() == 0


def test_up_runs_from_taking_the_log_on(up: Service) -> None:
    """`status` says so, though it could not say a word in the log yet: a disk may be full by then."""
    path = up.folder / "state/log.db"
    SqliteLog.open(path).close()
    claim = Claim.take(path, "up")
    (status,) = up.json("status")
    assert status["running"]
    claim.release()
    (status,) = up.json("status", code=1)
    assert not status["running"]
    up.start()
    assert up.stop() == 0
    assert "pid" in up.json("status", code=1)[0], "of one that has ended it is known what it said"
    claim = Claim.take(path, "up")
    (status,) = up.json("status")
    assert (status["running"], "pid" in status) == (True, False), "what another said is not its word"
    said = up.run("status", "--config", str(up.config)).stdout
    assert "`banstream up` runs; it could not say yet how it is." in said
    claim.release()
    (status,) = up.json("status", code=1)
    assert not status["running"]


def fail_again_after_a_ban(up: Service) -> None:
    """Somebody fails twice, which bans, and is free again; `up` is started anew, and he fails twice more."""
    up.start()
    up.fail(ATTACKER, 2)
    eventually(lambda: up.elements() == {ATTACKER}, "banned")
    eventually(lambda: up.elements() == set(), "free again")
    assert up.stop() == 0
    up.start()
    up.fail(ATTACKER, 2)


def test_bans_grow_in_the_firewall(up: Service) -> None:
    """The second ban of an address is longer, through a restart; `explain` and `status` say why."""
    up.configure('maxretry = 2\nbantime = "3s"', more="[jail.sshd.increment]\nfactor = 300")
    fail_again_after_a_ban(up)
    eventually(lambda: up.elements() == {ATTACKER}, "banned again")
    first, second = up.bans()
    assert [each.until_ms - each.at_ms for each in (first, second) if each.until_ms] == [3_000, 1_800_000]
    config = ("--config", str(up.config))
    assert "longer each time: 30m as its ban number 2" in up.run("explain", ATTACKER, *config).stdout
    assert "2 failures within 10m ban for 3s, longer each time" in up.run("status", *config).stdout
    replayed = up.json("replay", str(up.log))
    assert [each["until_ms"] for each in replayed if each["kind"] == "ban"] == [
        first.until_ms,
        second.until_ms,
    ]
    up.run("unban", ATTACKER, *config)
    up.fail(ATTACKER, 2)
    eventually(lambda: len(up.bans()) == 3, "banned once more")
    assert up.bans()[-1].ban_count == 1, "an operator let it go: it begins anew"
    assert up.stop() == 0


def test_whom_jails_ban_again_and_again_is_banned_for_longer(up: Service) -> None:
    """By a jail on bans, through a restart; both jails hold it; `explain`, `status` and a replay agree."""
    more = '[jail.recidive]\non = "bans"\nmaxretry = 2\nfindtime = "1d"\nbantime = "1w"'
    up.configure('maxretry = 2\nbantime = "2s"', more=more)
    fail_again_after_a_ban(up)
    eventually(lambda: len(up.bans()) == 3, "banned by both")
    time.sleep(3)
    assert up.elements() == {ATTACKER}
    config = ("--config", str(up.config))
    assert [each.jail for each in up.bans()] == ["sshd", "sshd", "recidive"]
    explained = up.run("explain", ATTACKER, "--all", *config).stdout
    assert "2 bans by other jails within 1d ban for 7d" in explained
    assert "2 bans within 1d ban for 7d" in up.run("status", *config).stdout
    assert "[recidive] Ban 203.0.113.66" in up.errors
    replayed = [each for each in up.json("replay", str(up.log)) if each["kind"] == "ban"]
    assert [(each["jail"], each["until_ms"]) for each in replayed] == [
        (each.jail, each.until_ms) for each in up.bans()
    ]
    assert up.stop() == 0


def test_a_log_is_compacted_while_nobody_protects_by_it(up: Service) -> None:
    """Then its file is smaller, and `up` goes on with it; while `up` holds it, it is refused."""
    up.configure(enforcer='backend = "null"')
    up.start()
    up.fail(ATTACKER, 3_000)
    eventually(lambda: len(up.events()) == 3_000, "all are events")
    assert "in use by another `up`" in up.run("log", "compact", "--config", str(up.config), code=3).stderr
    assert up.stop() == 0
    path = up.folder / "state/log.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE unused AS SELECT randomblob(1000000)")
        database.execute("DROP TABLE unused")
    (facts,) = up.json("log", "compact")
    assert facts["after_bytes"] + 900_000 < facts["before_bytes"]
    assert path.stat().st_size == facts["after_bytes"]
    up.start()
    assert len(up.events()) == 3_000
    assert [ban.prefix for ban in up.bans()] == [ATTACKER]
    assert up.stop() == 0


def test_a_source_that_is_not_there_yet_is_told_at_the_start(up: Service) -> None:
    """And read from its beginning when it appears."""
    up.log.unlink()
    up.start()
    said = f'Nothing is read there yet reason="{up.log}: no such file yet; it is read from its start'
    assert said in up.errors
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "banned")
    assert up.stop() == 0


def test_a_broken_file_takes_no_command_away(up: Service) -> None:
    """`unban` and whoever looks go on while `up` does, and say what is wrong; `up` itself would refuse."""
    up.start()
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "banned")
    up.config.write_text(up.config.read_text(encoding="utf-8") + "[jail.sshd\n", encoding="utf-8")
    done = up.run("unban", ATTACKER, "--config", str(up.config))
    assert "applied" in done.stdout
    assert "not TOML" in done.stderr
    eventually(lambda: up.elements() == set(), "unbanned")
    for looking in (("status",), ("explain", ATTACKER)):
        assert "not TOML" in up.run(*looking, "--config", str(up.config)).stderr
    up.run("config", "check", "--config", str(up.config), code=2)
    assert up.stop() == 0


def test_what_a_full_disk_held_back_is_read_again_after_a_kill(up: Service) -> None:
    """A process that dies with decisions in memory alone: its next start decides the same, once."""
    with small_disk(up.folder / "state") as disk:
        up.configure(JAIL.format(3))
        up.start()
        filler = occupy(disk)
        fill_up(up, 0)
        up.fail(ATTACKER, 3)
        eventually(lambda: up.elements() == {ATTACKER}, "it bans on a full disk")
        up.stop(signal.SIGKILL)
        filler.unlink()
        up.start()
        lines = up.log.read_text(encoding="utf-8").splitlines()
        eventually(lambda: len(up.events()) >= len(lines), "every line is an event")
        assert Counter(event.line for event in up.events()) == Counter(lines)
        eventually(lambda: [ban.prefix for ban in up.bans()] == [ATTACKER], "it is banned once")
        assert up.elements() == {ATTACKER}
        assert up.stop() == 0


JAIL = 'maxretry = {}\nignoreip = ["192.0.2.0/24"]'


def fill_up(up: Service, before: int) -> None:
    """Write failures that ban nobody until there is no room for them; SQLite has some of its own."""

    def full() -> bool:
        up.fail("192.0.2.1", 50)
        return "going on in memory" in up.errors[before:]

    eventually(full, "it says that it goes on in memory")


def wait_for(up: Service, before: int, said: str) -> None:
    """Wait until `up` says something."""
    eventually(lambda: said in up.errors[before:], said)


def test_a_start_on_a_full_disk_is_an_error_that_says_so(up: Service) -> None:
    """It exits with 3 and the reason; with room the same start works."""
    with small_disk(up.folder / "state") as disk:
        filler = occupy(disk)
        done = up.run("up", "--config", str(up.config), code=3)
        assert "the disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        filler.unlink()
        up.start()
        assert up.stop() == 0


def test_a_log_file_that_vanishes_and_comes_back_is_followed(up: Service) -> None:
    """Removed, later made anew with what was before: both files' lines count; status tells meanwhile."""
    up.start()
    up.fail(ATTACKER, 2)
    eventually(lambda: len(up.events()) == 2, "two failures")
    up.log.unlink()
    eventually(lambda: "No such file" in str(up.json("status")[0]["notices"]), "status tells")
    up.fail(ATTACKER)
    eventually(lambda: up.elements() == {ATTACKER}, "the third failure bans")
    eventually(lambda: not up.json("status")[0]["notices"], "status is well again")


def test_an_unreadable_log_file_is_read_when_it_may_be(up: Service) -> None:
    """Without the right to read, status says so; what was written meanwhile counts afterwards, once."""
    up.prefix = WITHOUT_CAPABILITIES
    up.start()
    up.fail(OTHER)
    eventually(lambda: len(up.events()) == 1, "it reads")
    up.log.rename(up.folder / "old")
    fresh = up.folder / "fresh"
    fresh.touch(mode=0)
    fresh.rename(up.log)
    eventually(lambda: "Permission denied" in str(up.json("status")[0]["notices"]), "status tells")
    up.fail(OTHER, 2)
    assert len(up.events()) == 1
    up.log.chmod(0o644)
    eventually(lambda: len(up.events()) == 3, "it reads again")
    eventually(lambda: [ban.count for ban in up.bans()] == [3], "and decides")
    eventually(lambda: not up.json("status")[0]["notices"], "status is well again")


def test_a_source_that_is_unreadable_at_the_start_is_waited_for(up: Service) -> None:
    """With the file and what to do, and that nothing is protected meanwhile; then it is read."""
    up.prefix = WITHOUT_CAPABILITIES
    up.log.chmod(0)
    up.start()
    assert f"{up.log}: may not be read" in up.errors
    assert "NOTHING IS PROTECTED" in up.errors
    up.log.chmod(0o644)
    up.fail(OTHER, 3)
    eventually(lambda: [ban.count for ban in up.bans()] == [3], "it is read")
    assert up.stop() == 0


@pytest.mark.parametrize("deed", ["flush ruleset", "delete table inet banstream"])
def test_what_others_do_to_the_firewall_is_repaired_within_two_seconds(
    net: Fleet, up: Service, deed: str
) -> None:
    """Packets pass for a moment and are dropped again; the repair is on record and in `status`."""
    server, attacker = net["server"], net["attacker"]
    up.configure('maxretry = 3\nbantime = "1h"')
    up.start()
    up.fail(attacker.ip4, 3)
    eventually(lambda: attacker.ip4 in up.elements(), "the ban")
    assert not attacker.reaches(server.ip4, within_s=0.2)
    server.run(["nft", *deed.split()])
    eventually(lambda: not attacker.reaches(server.ip4, within_s=0.05), "dropped again", REPAIR_S)
    assert up.elements() == {attacker.ip4}
    assert attacker.reaches(server.ip6)
    eventually(lambda: up.json("status")[0]["enforcer"]["repaired"] == 1, "it is counted")
    details = [each.detail for each in up.kept(ENFORCEMENTS) if isinstance(each, Enforcement)]
    assert details == [None, "repaired: others had changed the firewall"]


def test_rules_taken_away_by_others_are_laid_anew_within_two_seconds(net: Fleet, up: Service) -> None:
    """`nft flush table` leaves the sets and takes the rules that look into them."""
    server, attacker = net["server"], net["attacker"]
    up.start()
    up.fail(attacker.ip4, 3)
    eventually(lambda: attacker.ip4 in up.elements(), "the ban")
    server.run(["nft", "flush", "table", "inet", "banstream"])
    eventually(lambda: not attacker.reaches(server.ip4, within_s=0.05), "dropped again", REPAIR_S)


def test_without_root_it_observes_only_and_says_so(powerless: Service) -> None:
    """Loudly at the start and in `status`; it decides and records all the same."""
    up = powerless
    up.start()
    assert 'WARNING OBSERVING ONLY, nothing is enforced reason="nftables needs root' in up.errors
    check_observing(up, "nftables needs root or CAP_NET_ADMIN")


def test_a_user_with_nothing_but_net_admin_enforces(powerless: Service) -> None:
    """What the service unit grants is enough: nobody, with CAP_NET_ADMIN (and to read: see AS_NOBODY)."""
    up = powerless
    up.prefix = tuple(word.replace("+dac_read_search", "+dac_read_search,+net_admin") for word in AS_NOBODY)
    up.start()
    up.fail(ATTACKER, times=3)
    eventually(lambda: up.elements() == {ATTACKER}, "the attacker is banned")
    assert "OBSERVING" not in up.errors


def test_without_libnftables_it_observes_only_and_says_so(up: Service) -> None:
    """The reason names the module and what to install."""
    stub = up.folder / "stub"
    stub.mkdir()
    (stub / "nftables.py").write_text("raise ImportError('no such module here')\n", encoding="utf-8")
    up.env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(stub), os.environ.get("PYTHONPATH"))))
    up.start()
    assert 'WARNING OBSERVING ONLY, nothing is enforced reason="the Python module nftables' in up.errors
    assert "pip install 'banstream[nftables]'" in up.errors
    check_observing(up, "the Python module nftables cannot be loaded")


def check_observing(up: Service, reason: str) -> None:
    """A ban is decided, recorded as skipped, and told as not enforced."""
    up.fail(ATTACKER, 3)
    eventually(lambda: len(up.bans()) == 1, "it decides")
    eventually(lambda: up.kept(ENFORCEMENTS), "it records")
    (enforcement,) = up.kept(ENFORCEMENTS)
    assert isinstance(enforcement, Enforcement)
    assert (enforcement.outcome, enforcement.detail) == ("skipped", "observing only")
    text = up.run("status", "--config", str(up.config)).stdout
    assert f"OBSERVING ONLY, nothing is enforced: {reason}" in text
    assert (
        "only observed: nothing is enforced here"
        in up.run("ban", OTHER, "--config", str(up.config), code=1).stdout
    )
    assert up.stop() == 0


def test_a_corrupt_event_log_is_refused_and_left_as_it_is(up: Service) -> None:
    """Exit code 3 and a sentence, of `up` and of the looks; not one byte of the file changes."""
    up.start()
    up.fail(ATTACKER, 3)
    eventually(lambda: up.elements() == {ATTACKER}, "a log with something in it")
    assert up.stop() == 0
    file = up.folder / "state" / "log.db"
    content = bytearray(file.read_bytes())
    content[4_096 : len(content) // 2] = os.urandom(len(content) // 2 - 4_096)
    file.write_bytes(content)
    for command in (["up"], ["status"], ["ban", OTHER]):
        begun = time.monotonic()
        done = up.run(*command, "--config", str(up.config), code=3)
        assert str(file) in done.stderr
        assert "Traceback" not in done.stderr
        assert time.monotonic() - begun < REPAIR_S * 5
    assert file.read_bytes() == content
