"""Processes that the tests start: `python -m tests.eventlog.children ROLE PATH [ARGUMENT]`."""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from eventlog.contract import Append
from eventlog.sqlite import SqliteLog
from schemas.topics import BANS, DECISIONS, EVENTS

DEADLINE_S: Final = 120


def say(*words: object) -> None:
    """Tell the test that started this process."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def write(path: Path, _argument: str) -> None:
    """Commit numbered messages to three topics, of one page to many, until killed; say so at each commit."""
    log = SqliteLog.open(path)
    writer = log.writer("victim")
    number = int(log.position("victim") or b"0")
    chosen = random.Random(number)
    while True:
        padding = b" " * chosen.choice((10, 3_000, 200_000))
        appends = [
            Append(DECISIONS.name, b"%d" % number + padding),
            Append(BANS.name, b"%d" % number + padding, key="only"),
            Append(EVENTS.name, b"%d" % number),
        ]
        number += 1
        writer.commit(appends, {"victim": b"%d" % number})
        say(number)


def follow(path: Path, _argument: str) -> None:
    """Read the events until one says `end`; say how many there were and the hash of all."""
    log = SqliteLog.open(path, read_only=True)
    say("following")
    seen = hashlib.sha256()
    offset = 0
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for message in log.read(EVENTS.name, 0, offset, limit=7):
            if message.offset != offset:
                sys.exit(f"expected offset {offset}, got {message.offset}")
            seen.update(message.value)
            offset += 1
            if message.value == b"end":
                say(offset, seen.hexdigest())
                return
    sys.exit("the end never came")


def append(path: Path, argument: str) -> None:
    """Append so many events of one's own, one at a time, as commands do while another process writes."""
    log = SqliteLog.open(path)
    for number in range(int(argument)):
        log.append([Append(EVENTS.name, b"command %d" % number)])
    log.close()


def claim(path: Path, argument: str) -> None:
    """Claim a role, say so, and hold it until killed."""
    log = SqliteLog.open(path)
    log.claim(argument)
    say("claimed")
    time.sleep(DEADLINE_S)


def fence(path: Path, _argument: str) -> None:
    """Take a writer, fence all others of its name, say so, and go."""
    log = SqliteLog.open(path)
    log.writer("victim")
    say("fenced")
    log.close()


ROLES: Final[dict[str, Callable[[Path, str], None]]] = {
    "write": write,
    "follow": follow,
    "append": append,
    "claim": claim,
    "fence": fence,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
