"""Where lines go: syslog's socket and stderr with priorities, without waiting for anybody."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from banstream.log_targets import handler
from banstream.logs import NOTICE
from schemas.errors import ConfigError


def record(template: str, *facts: object, level: int = NOTICE) -> logging.LogRecord:
    """What a role says."""
    return logging.LogRecord("banstream.bans", level, "file", 1, template, facts, None)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[socket.socket]:
    """A daemon's socket, `log` in the folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log"))
        listener.settimeout(5)
        yield listener


def test_syslog_has_priority_tag_and_line(tmp_path: Path, daemon: socket.socket) -> None:
    """RFC 3164 as daemons take it from programs of the machine: no time, no host, no line break."""
    made = handler(f"syslog:{tmp_path}/log", log_format="text")
    made.handle(record("[%s] %s %s why=%s", "sshd", "Ban", "192.0.2.7", "a\n<0>forged \x1b[2J"))
    expected = f'<29>banstream[{os.getpid()}]: NOTICE [sshd] Ban 192.0.2.7 why="a\\n<0>forged \\u001b[2J"'
    assert daemon.recv(9_000).decode() == expected
    made.close()


def test_a_daemon_that_comes_back_is_found_and_meanwhile_stderr_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is lost, nothing waits; a daemon whose queue is full holds up nobody either."""
    path = tmp_path / "log"
    first = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    first.bind(str(path))
    made = handler(f"syslog:{path}", log_format="text")
    first.close()
    path.unlink()
    made.handle(record("While it is away"))
    assert "NOTICE While it is away" in capsys.readouterr().err
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as second:
        second.bind(str(path))
        for number in range(2_000):
            made.handle(record("Line nr=%d", number))
        assert b"Line nr=0" in second.recv(9_000)
        assert "nr=1999" in capsys.readouterr().err
    made.close()


def test_a_target_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    """With what to do; and so is a word that is no target."""
    with pytest.raises(ConfigError, match=r"nobody listens at .*/none .*log to stderr"):
        handler(f"syslog:{tmp_path}/none", log_format="text")
    with pytest.raises(ConfigError, match="expected stderr, syslog or journal"):
        handler("sylog", log_format="text")


def test_stderr_has_priorities_where_it_is_the_journal(tmp_path: Path) -> None:
    """And nowhere else: $JOURNAL_STREAM is inherited by children whose stderr goes elsewhere."""
    out = tmp_path / "err"
    program = (
        "import logging; from banstream.logs import begin_logging; begin_logging();"
        "logging.getLogger('x').warning('two lines\\nno'); logging.getLogger('x').log(25, 'Told')"
    )
    for own in (True, False):
        with out.open("w") as file:
            stat = os.fstat(file.fileno())
            env = {**os.environ, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino if own else 1}"}
            subprocess.run([sys.executable, "-P", "-c", program], env=env, stderr=file, check=True)
        lines = out.read_text(encoding="utf-8").splitlines()
        assert [line[:3] for line in lines] == (["<4>", "<5>"] if own else ["202", "202"])
