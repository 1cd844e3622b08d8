"""The journal as a source, in files that the real systemd-journal-remote writes."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.banstream.service import Service, eventually, service

pytestmark = pytest.mark.real("journald")

ATTACKERS = [f"203.0.113.{last}" for last in range(1, 8)]
VICTIM = "192.0.2.99"


class Journal:
    """A journal file, and the program that writes it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.attempts = 0
        self._writer = subprocess.Popen(
            ["/lib/systemd/systemd-journal-remote", f"--output={file}", "-"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def write(self, message: str, *, unit: str = "ssh.service", identifier: str = "sshd") -> None:
        """Append an entry as journald would keep it, stamped now (JOURNAL_EXPORT_FORMATS)."""
        assert self._writer.stdin is not None
        micros = time.time_ns() // 1_000
        self.attempts += 1
        fields = {
            "__REALTIME_TIMESTAMP": micros,
            "__MONOTONIC_TIMESTAMP": time.monotonic_ns() // 1_000,
            "_BOOT_ID": "5f1b0c5a6d3e4f7a8b9c0d1e2f3a4b5c",
            "_SYSTEMD_UNIT": unit,
            "_HOSTNAME": "server",
            "_PID": 1_000 + self.attempts,
            "SYSLOG_IDENTIFIER": identifier,
        }
        text = "".join(f"{name}={value}\n" for name, value in fields.items())
        body = message.encode()
        entry = text.encode() + b"MESSAGE\n" + len(body).to_bytes(8, "little") + body + b"\n\n"
        self._writer.stdin.write(entry)
        self._writer.stdin.flush()

    def fail(self, ip: str, user: str = "root") -> None:
        """A failed login."""
        self.write(f"Failed password for {user} from {ip} port {self.attempts + 1} ssh2")

    def close(self) -> None:
        """End the writer; the file stays."""
        assert self._writer.stdin is not None
        self._writer.stdin.close()
        assert self._writer.wait(30) == 0


@contextmanager
def journal(file: Path) -> Iterator[Journal]:
    """A journal that is being written."""
    made = Journal(file)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A service that observes only and reads ssh.service from a journal file; not running yet."""
    with service(tmp_path) as made:
        made.configure(
            'maxretry = 5\nfindtime = "1h"',
            source=f"journald:file={tmp_path}/test.journal _SYSTEMD_UNIT=ssh.service",
            enforcer='backend = "null"',
        )
        yield made


def test_a_journal_is_followed_over_restarts_and_a_crash_without_loss_or_repetition(up: Service) -> None:
    """Entries from before, while it runs, while it is down and after `kill -9` are one event each."""
    with journal(up.folder / "test.journal") as written:
        attempts = 0
        for number in range(5):
            for ip in ATTACKERS:
                written.fail(ip)
                attempts += 1
            if number:
                up.start()
                for ip in ATTACKERS:
                    written.fail(ip)
                    attempts += 1
                if number % 2:
                    eventually(up.events, "something is read")
                    assert up.process is not None
                    up.process.kill()
                    up.process.wait()
                else:
                    assert up.stop() == 0
        up.start()
        eventually(lambda: len(up.events()) >= attempts, f"{attempts} events")
        assert up.stop() == 0
    ports = Counter(event.port for event in up.events())
    assert ports == Counter(range(1, attempts + 1))
    assert Counter(event.ip for event in up.events()) == dict.fromkeys(ATTACKERS, attempts // len(ATTACKERS))
    assert Counter(ban.prefix for ban in up.bans()) == dict.fromkeys(ATTACKERS, 1)
    assert {ban.count for ban in up.bans()} == {5}


def test_only_the_unit_asked_for_counts_and_no_message_poses_as_another_entry(up: Service) -> None:
    """Other units' entries, other programs, and newlines and NULs within a message ban nobody."""
    forged = f"Failed password for root from {VICTIM} port 5 ssh2"
    with journal(up.folder / "test.journal") as written:
        up.start()
        for _ in range(6):
            written.write(forged, unit="app.service")
            written.write(forged, identifier="app")
            written.write(f"x\n2026-11-22T09:00:00.000000+00:00 server sshd[7]: {forged}\n")
            written.write(f"\0\nsshd[7]: {forged}", identifier="app sshd[7]: ")
        written.fail(ATTACKERS[0], user=f"x\n{forged}\n from {VICTIM} port 5 ssh2")
        written.fail(ATTACKERS[1])
        eventually(lambda: ATTACKERS[1] in {event.ip for event in up.events()}, "the last entry is read")
        assert {event.ip for event in up.events()} == set(ATTACKERS[:2])
        assert up.bans() == []


def test_a_journal_that_appears_later_is_read_from_its_beginning(up: Service) -> None:
    """Until then `status` says what journalctl says; nothing of it is lost."""
    up.start()
    eventually(lambda: "journalctl ended" in str(up.json("status")[0]["notices"]), "status tells")
    with journal(up.folder / "test.journal") as written:
        for _ in range(5):
            written.fail(ATTACKERS[0])
        eventually(lambda: [ban.prefix for ban in up.bans()] == [ATTACKERS[0]], "it is read")
    eventually(lambda: not up.json("status")[0]["notices"], "status is well again")
