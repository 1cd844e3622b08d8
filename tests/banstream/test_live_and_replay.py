"""Live processing and replay of the same lines agree, and a replay is the same every time."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from banstream.config import load_settings
from banstream.trial import ReplayCounts, over_files, wire
from producers.filters import load_filter
from producers.offline import BATCH_BYTES, match_files
from schemas.codec import to_wire
from schemas.records import Ban, Unban
from schemas.topics import DECISIONS
from tests.banstream.service import Service, eventually, service, stamp

LINES = 3_000
ADDRESSES = [f"203.0.113.{last}" for last in range(60)] + [f"2001:db8::{last:x}" for last in range(1, 40)]
JAILS = """
[jail.slow]
filter = "sshd"
source = "file:{log}"
start = "beginning"
maxretry = 9
findtime = "1h"
bantime = "1h"
kinds = ["failed", "probed"]
forgive = true
"""
TEMPLATES = (
    "sshd[{pid}]: Failed password for root from {ip} port {port} ssh2",
    "sshd-session[{pid}]: Failed password for invalid user {user} from {ip} port {port} ssh2",
    "sshd[{pid}]: Invalid user {user} from {ip} port {port}",
    "sshd[{pid}]: Accepted password for ann from {ip} port {port} ssh2",
    "sshd[{pid}]: Connection closed by authenticating user root {ip} port {port} [preauth]",
    "sshd[{pid}]: maximum authentication attempts exceeded for root from {ip} port {port} ssh2 [preauth]",
    "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0)",
    "kernel: [UFW BLOCK] SRC={ip} DST=192.0.2.1 PROTO=TCP SPT={port}",
)


def messages(seed: int, count: int = LINES) -> Iterator[str]:
    """What programs of a server write, some of it about the same connection."""
    chance = random.Random(seed)
    pid = 1_000
    for _ in range(count):
        pid += chance.random() < 0.7
        yield chance.choice(TEMPLATES).format(
            pid=pid,
            ip=ADDRESSES[min(int(chance.paretovariate(0.6)) - 1, len(ADDRESSES) - 1)],
            port=40_000 + pid % 20_000,
            user=chance.choice(["oracle", "admin", "x from 192.0.2.1 port 5 ssh2"]),
        )


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A service with two jails that observes only; not running yet."""
    with service(tmp_path) as made:
        made.configure(
            'maxretry = 3\nfindtime = "2s"\nbantime = "1s"',
            enforcer='backend = "null"',
            more=JAILS.format(log=made.log),
        )
        yield made


def facts(decisions: list[dict[str, Any]], kind: str, *keys: str) -> Counter[tuple[Any, ...]]:
    """The decisions of a kind, by some of their facts."""
    return Counter(
        tuple(each[key] for key in ("prefix", "jail", "at_ms", *keys))
        for each in decisions
        if each["kind"] == kind
    )


def test_a_live_run_decides_as_a_replay_of_the_same_lines(up: Service) -> None:
    """Over the file, and over the event log itself: the same bans; the same unbans as far as time goes."""
    up.start()
    chance = random.Random(3)
    for message in messages(seed=7):
        up.write(message)
        if chance.random() < 0.03:
            time.sleep(chance.random() * 0.04)
    up.fail("198.51.100.250", 3)
    eventually(lambda: up.bans() and up.bans()[-1].prefix == "198.51.100.250", "the last line is decided")
    ban = ("until_ms", "count", "ban_count")
    of_file = up.json("replay", str(up.log))
    # Not by `while_banned`: lines read at the moment at which a ban ends may be on either side of it.
    due = facts(of_file, "unban", "reason")
    eventually(lambda: due <= facts(lived(up), "unban", "reason"), "what ends with the last line has ended")
    assert up.stop() == 0
    live = lived(up)
    of_log = up.json("replay", "--since", "1h")
    bans = facts(of_file, "ban", *ban)
    assert len(bans) > 50
    assert {jail for _, jail, *_ in bans} == {"sshd", "slow"}
    assert facts(live, "ban", *ban) == bans
    assert facts(of_log, "ban", *ban) == bans
    assert due <= facts(of_log, "unban", "reason")
    assert due


def lived(up: Service) -> list[dict[str, Any]]:
    """What was decided live so far."""
    decisions = [each for each in up.kept(DECISIONS) if isinstance(each, Ban | Unban)]
    return [{"while_banned": 0, **to_wire(each), "kind": each.TYPE} for each in decisions]


def backlog(up: Service) -> None:
    """Five minutes' lines in the log, ten a second, written in one go."""
    hour = stamp()[:14]
    with up.log.open("a", encoding="utf-8") as log:
        for number, message in enumerate(messages(seed=11)):
            minutes, tenths = divmod(number, 600)
            log.write(f"{hour}{minutes:02d}:{tenths / 10:04.1f}+00:00 server {message}\n")


def decided(up: Service, batch_bytes: int) -> bytes:
    """The decisions of a replay, as bytes."""
    rules = load_settings(str(up.config)).rules()
    filters = [load_filter("sshd")]
    streams = [match_files([str(up.log)], filters, batch_bytes=batch_bytes)]
    return b"\n".join(
        orjson.dumps(wire(each))
        for (decisions,) in over_files([rules], filters, streams, ReplayCounts())
        for each in decisions
    )


def test_a_replay_gives_the_same_bytes_whatever_the_batch(up: Service) -> None:
    """From batches of one byte to all at once."""
    backlog(up)
    whole = decided(up, BATCH_BYTES)
    assert whole.count(b'"kind":"ban"') > 50
    for batch_bytes in (1, 97, 4_096, 100_000):
        assert decided(up, batch_bytes) == whole


def test_a_replay_gives_the_same_bytes_every_time(up: Service) -> None:
    """In other processes, under other hash seeds, and from standard input."""
    backlog(up)
    wholes = set()
    for seed in ("0", "1", "random"):
        up.env["PYTHONHASHSEED"] = seed
        wholes.add(up.run("replay", "--json", "--config", str(up.config), str(up.log)).stdout)
    assert len(wholes) == 1
    with up.log.open("rb") as lines:
        command = ("replay", "--json", "--config", str(up.config), "-")
        with up.popen(*command, stdin=lines, stdout=-1, stderr=-1) as replay:
            said, _ = replay.communicate(timeout=60)
    assert said in wholes
    assert said.count('"kind":"ban"') > 50
