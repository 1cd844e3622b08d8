"""`banstream setup`: what it finds, what it asks, and that what it writes holds."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Final

import pytest

from banstream.config import load_settings
from tests.banstream.service import BANSTREAM

OWN: Final = "203.0.113.9"
LOGS: Final = {
    "auth.log": "2026-11-22T09:00:00+00:00 server su[7]: pam_unix(su:session): session opened\n",
    "vsftpd.log": "",
    "mail.log": "Nov 22 09:00:00 server dovecot: imap-login: Login: user=<ann>\n"
    "Nov 22 09:00:00 server cron[7]: postfix\n",
    "nginx/error.log": "",
    "nginx/access.log": "",
}
"""su alone has written to auth.log: nothing says that an sshd is here."""


def setup(logs: Path, *words: str, answers: str = "", code: int = 0) -> str:
    """What it says on a machine whose /var/log is a folder; `answers`: at a terminal."""
    master, terminal = os.openpty()
    os.write(master, answers.encode())
    command = shlex.join([*BANSTREAM, "setup", *words])
    script = f"mount --bind {logs} /var/log && mount -t tmpfs none /usr/lib/systemd/system && exec {command}"
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            stdin=terminal if answers else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "SSH_CONNECTION": f"{OWN} 50000 192.0.2.1 22"},
            timeout=60,
            check=False,
        )
    finally:
        os.close(master)
        os.close(terminal)
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder of logs."""
    folder = tmp_path / "log"
    for name, text in LOGS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.real("nftables")
def test_all_that_is_found_is_watched_and_where_one_comes_from_is_safe(logs: Path, tmp_path: Path) -> None:
    """A log of one service speaks for it; of a shared one the program must have written there."""
    file = tmp_path / "new/banstream.toml"
    said = setup(logs, "--yes", "--write", str(file))
    settings = load_settings(str(file), check="names")
    assert [jail.rules.name for jail in settings.jails] == ["dovecot", "nginx", "vsftpd"]
    assert list(settings.enforcer.never_ban) == [OWN]
    assert settings.enforcer.backend == "nftables"
    assert file.stat().st_mode & 0o777 == 0o640
    assert "Watched: dovecot, nginx, vsftpd" in said
    refused = setup(logs, "--yes", "--write", str(file), code=2)
    assert "is there already" in refused
    setup(logs, "--yes", "--write", str(file), "--force")
    assert Path(f"{file}.old").read_text(encoding="utf-8") == file.read_text(encoding="utf-8")
    assert "would be lost" in setup(logs, "--yes", "--write", str(file), "--force", code=2)


@pytest.mark.real("nftables")
def test_it_asks_again_until_an_answer_is_right(logs: Path, tmp_path: Path) -> None:
    """A wrong answer is named; without a terminal it asks nothing."""
    file = tmp_path / "banstream.toml"
    said = setup(
        logs,
        "--write",
        str(file),
        answers='nosuch\nvsftpd, nginx\n300.0.0.1\n198.51.100.0/24 2001:db8::7"]\n198.51.100.0/24\nn\n',
    )
    assert "expected all, or names of dovecot, nginx, vsftpd" in said
    settings = load_settings(str(file), check="names")
    assert [jail.rules.name for jail in settings.jails] == ["vsftpd", "nginx"]
    assert list(settings.enforcer.never_ban) == ["198.51.100.0/24"]
    assert settings.enforcer.backend == "null"
    assert "nobody to ask" in setup(logs, "--write", str(tmp_path / "other.toml"), code=2)


@pytest.mark.real("nftables")
def test_where_nothing_is_found_sshd_is_watched(tmp_path: Path) -> None:
    """Its log is waited for."""
    (tmp_path / "log").mkdir()
    file = tmp_path / "banstream.toml"
    assert "as soon as it logs" in setup(tmp_path / "log", "--yes", "--write", str(file))
    assert [jail.rules.name for jail in load_settings(str(file), check="names").jails] == ["sshd"]
