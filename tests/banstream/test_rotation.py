"""The real logrotate, several times in the middle of an attack."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from tests.banstream.service import Service, eventually, service, stamp

Mode = Literal["create", "copytruncate"]
ADDRESSES = 25
ROTATIONS = 6
BETWEEN_S = 0.2


class Syslog(threading.Thread):
    """Writes failing logins of many addresses, some hundred a second, into a file that it keeps open."""

    def __init__(self, log: Path) -> None:
        super().__init__(daemon=True)
        self.written: list[str] = []
        self.done = threading.Event()
        self.writing = threading.Lock()
        self._log = log
        self._file = log.open("a", encoding="utf-8", buffering=1)

    def run(self) -> None:
        """Write until told to stop; each line is unlike any other, and a connection of its own."""
        number = 0
        while not self.done.is_set():
            with self.writing:
                line = (
                    f"{stamp()} server sshd[{10_000 + number}]: Failed password for root "
                    f"from 203.0.113.{number % ADDRESSES} port {number % 60_000 + 1} ssh2"
                )
                self._file.write(line + "\n")
                self.written.append(line)
            number += 1
            time.sleep(0.001)

    def reopen(self) -> None:
        """Close the file and open what is now at its path: what rsyslog does when it is sent SIGHUP."""
        with self.writing:
            self._file.close()
            self._file = self._log.open("a", encoding="utf-8", buffering=1)

    def stop(self) -> None:
        """End, and close the file."""
        self.done.set()
        self.join()
        self._file.close()


def rotate(up: Service, syslog: Syslog, mode: Mode) -> None:
    """Rotate the log once, as a nightly logrotate does, in the middle of some hundred lines."""
    time.sleep(BETWEEN_S)
    config = up.folder / "logrotate.conf"
    config.write_text(f"{up.log} {{\n  rotate 100\n  {mode}\n}}\n", encoding="utf-8")
    config.chmod(0o600)
    command = ["logrotate", "--force", "--state", str(up.folder / "logrotate.state"), str(config)]
    if mode == "copytruncate":
        with syslog.writing:
            subprocess.run(command, check=True)
    else:
        subprocess.run(command, check=True)
        time.sleep(0.05)
        syslog.reopen()
    time.sleep(BETWEEN_S)


@pytest.mark.real("logrotate")
@pytest.mark.parametrize("mode", ["create", "copytruncate"])
def test_logrotate_in_the_middle_of_an_attack_loses_no_line_and_counts_none_twice(
    tmp_path: Path, mode: Mode
) -> None:
    """Every line is one event, and the bans are those of a replay; also while `up` is stuck or down.

    With `create` the writer goes on in the renamed file until it opens the new one. With `copytruncate` it
    pauses while logrotate runs: what is written between its copy and its truncation logrotate itself loses.
    """
    with service(tmp_path) as up:
        up.configure('maxretry = 7\nbantime = "1s"', enforcer='backend = "null"')
        up.start()
        syslog = Syslog(up.log)
        syslog.start()
        try:
            rotate(up, syslog, mode)
            up.send(signal.SIGSTOP)
            rotate(up, syslog, mode)
            up.send(signal.SIGCONT)
            rotate(up, syslog, mode)
            assert up.stop() == 0
            rotate(up, syslog, mode)
            rotate(up, syslog, mode)
            up.start()
            rotate(up, syslog, mode)
        finally:
            syslog.stop()
        expected = Counter(syslog.written)
        assert len(expected) == len(syslog.written) > 500
        eventually(lambda: len(up.events()) >= len(syslog.written), f"{len(syslog.written)} events")
        assert up.stop() == 0
        assert Counter(event.line for event in up.events()) == expected
        assert len(list(tmp_path.glob("auth.log.*"))) == ROTATIONS
        whole = tmp_path / "whole.log"
        whole.write_text("\n".join(syslog.written) + "\n", encoding="utf-8")
        assert facts_of_bans(up) == replayed(up, whole)


def facts_of_bans(up: Service) -> Counter[tuple[str, int, int | None, int, int]]:
    """Every ban that `up` has decided, by its facts."""
    return Counter((ban.prefix, ban.at_ms, ban.until_ms, ban.count, ban.ban_count) for ban in up.bans())


def replayed(up: Service, whole: Path) -> Counter[tuple[str, int, int | None, int, int]]:
    """The bans of a replay over a file, by the same facts."""
    return Counter(
        (each["prefix"], each["at_ms"], each["until_ms"], each["count"], each["ban_count"])
        for each in up.json("replay", str(whole))
        if each["kind"] == "ban"
    )
