"""A crash at any moment: nothing lost, nothing twice, the firewall as it should be."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from banstream.reading import records
from eventlog.urls import open_log
from schemas.records import Ban
from schemas.topics import DECISIONS
from tests.banstream.service import Service, eventually, service
from tests.namespaces import fleet

KILLS = 30
ADDRESSES = [f"203.0.113.{last}" for last in range(1, 60)] + [f"2001:db8::{last:x}" for last in range(1, 20)]
LONG_JAIL = """
[jail.long]
filter = "sshd"
source = "file:{log}"
start = "beginning"
maxretry = 12
findtime = "1m"
bantime = "1h"
"""


class Load(threading.Thread):
    """Failing logins of many addresses, some hundred a second, and a rotation now and then."""

    def __init__(self, target: Service, seed: int) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.chance = random.Random(seed)
        self.done = threading.Event()
        self.rotations = 0

    def run(self) -> None:
        """Write until told to stop; rotate by renaming, about once a second."""
        rotate_at = time.monotonic() + 1
        while not self.done.is_set():
            for _ in range(self.chance.randrange(1, 12)):
                self.target.fail(self.chance.choice(ADDRESSES))
            time.sleep(self.chance.random() * 0.02)
            if time.monotonic() > rotate_at:
                self.rotate()
                rotate_at = time.monotonic() + 0.5 + self.chance.random()

    def rotate(self) -> None:
        """Move auth.log to auth.log.1, that to auth.log.2, and so on; a new auth.log begins."""
        log = self.target.log
        for number in range(self.rotations, 0, -1):
            log.with_name(f"auth.log.{number}").rename(log.with_name(f"auth.log.{number + 1}"))
        log.rename(log.with_name("auth.log.1"))
        log.touch()
        self.rotations += 1

    def whole(self) -> Path:
        """All that was written, in order, in one file."""
        log = self.target.log
        parts = [log.with_name(f"auth.log.{number}") for number in range(self.rotations, 0, -1)]
        whole = self.target.folder / "whole.log"
        whole.write_bytes(b"".join(part.read_bytes() for part in (*parts, log)))
        return whole


@pytest.mark.real("nftables")
def test_thirty_kills_under_load_and_rotation_change_no_decision(tmp_path: Path) -> None:
    """After 30 times `kill -9` the bans are those of an uninterrupted run, each once, and in the firewall."""
    chance = random.Random(20_261_122)
    with fleet("server") as net, service(tmp_path, net["server"]) as up:
        up.configure(jail='maxretry = 3\nfindtime = "10s"\nbantime = "2s"', more=LONG_JAIL.format(log=up.log))
        up.start()  # lines of before a source was first opened, and rotated away, are nobody's
        load = Load(up, seed=chance.randrange(10**9))
        load.start()
        assert up.process is not None
        up.process.kill()
        up.process.wait()
        for _ in range(KILLS):
            up.start(ready=chance.random() < 0.7)
            time.sleep(chance.random() * 0.5)
            assert up.process is not None
            up.process.kill()
            up.process.wait()
            time.sleep(chance.random() * 0.3)
        load.done.set()
        load.join()
        up.start()
        whole = load.whole()
        expected = Counter(
            (each["prefix"], each["jail"], each["at_ms"], each["until_ms"], each["count"], each["ban_count"])
            for each in up.json("replay", str(whole))
            if each["kind"] == "ban"
        )
        assert len(expected) > 100
        assert {jail for _, jail, *_ in expected} == {"sshd", "long"}
        eventually(lambda: len(decided(up)) >= len(expected), f"{len(expected)} bans")
        assert decided(up) == expected
        eventually(lambda: not short(up), "the short bans have ended")
        in_force = {each["prefix"] for each in up.json("bans")}
        assert in_force == {prefix for prefix, jail, *_ in expected if jail == "long"}
        assert up.elements() == in_force
        assert up.stop() == 0
        audit = up.json("audit", "verify")[-1]
        assert (audit["findings"], audit["unvouched"]) == (0, 0)
        assert load.rotations > 5


def decided(up: Service) -> Counter[tuple[str, str, int, int | None, int, int]]:
    """Every ban in the log, by its facts."""
    log = open_log(f"sqlite://{up.folder}/state/log.db", read_only=True)
    try:
        return Counter(
            (ban.prefix, ban.jail, ban.at_ms, ban.until_ms, ban.count, ban.ban_count)
            for each in records(log, DECISIONS.name)
            if isinstance(ban := each.record, Ban)
        )
    finally:
        log.close()


def short(up: Service) -> list[str]:
    """The prefixes that the short jail still holds."""
    return [
        each["prefix"]
        for each in up.json("bans", code=None)
        if any(h["jail"] == "sshd" for h in each["holds"])
    ]
