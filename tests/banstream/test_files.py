"""`up` on files to which people do things: each line counts once, and no file holds up another."""

from __future__ import annotations

import gzip
import os
import signal
import time
from pathlib import Path

from tests.banstream.service import Service, eventually, service, stamp

ENFORCER = 'backend = "null"'


def failures(*numbers: int) -> str:
    """Failed logins of one address, each of a connection of its own."""
    return "".join(
        f"{stamp()} server sshd[{number}]: Failed password for root from 192.0.2.1 port {number} ssh2\n"
        for number in numbers
    )


def write(path: Path, text: str) -> None:
    """Append to a log."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(text)


def wait_for(up: Service, count: int) -> None:
    """Until so many events are there; then a moment for any that would be too many."""
    eventually(lambda: len(up.events()) >= count, f"{count} events")
    time.sleep(0.3)
    assert len(up.events()) == count


def test_whatever_is_done_to_a_log_its_failures_count_once(tmp_path: Path) -> None:
    """A glob over rotated names, a killed process, a cut head, a compressed file: no ban comes of repeats."""
    with service(tmp_path) as up:
        up.configure("maxretry = 10", source=f"file:{up.log}*", enforcer=ENFORCER)
        write(up.log, failures(1, 2))
        up.start()
        wait_for(up, 2)
        rotated = up.log.rename(tmp_path / "auth.log-30-11-2026")
        write(up.log, failures(3))
        wait_for(up, 3)
        up.send(signal.SIGKILL)
        up.stop()
        write(rotated, failures(4))
        (tmp_path / f"{rotated.name}.gz").write_bytes(gzip.compress(rotated.read_bytes()))
        rotated.unlink()
        write(up.log, failures(5, 6))
        up.start()
        wait_for(up, 6)
        for number in (7, 8, 9):
            new = tmp_path / "new"
            new.write_text("".join(up.log.read_text().splitlines(keepends=True)[1:]) + failures(number))
            new.rename(up.log)
            wait_for(up, number)
        assert up.stop() == 0
        assert up.bans() == []


def test_a_huge_sparse_file_holds_up_neither_a_ban_nor_the_end(tmp_path: Path) -> None:
    """Whoever may put a link into a folder that a glob covers."""
    for user in ("mallory", "web"):
        (tmp_path / user).mkdir()
    with (tmp_path / "mallory" / "big").open("wb") as big:
        os.truncate(big.fileno(), 300 << 30)
    (tmp_path / "mallory" / "auth.log").symlink_to("big")
    with service(tmp_path) as up:
        up.configure("maxretry = 3", source=f"file:{tmp_path}/*/auth.log", enforcer=ENFORCER)
        up.start()
        write(tmp_path / "web" / "auth.log", failures(1, 2, 3))
        eventually(up.bans, "a ban", within_s=10)
        started_s = time.monotonic()
        assert up.stop() == 0
        assert time.monotonic() - started_s < 3
