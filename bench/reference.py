"""fail2ban, as Debian packages it, on the same lines: the figures to compare with. Absent, it is left out."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import say

ETC = Path("/etc/fail2ban")


class Fail2ban:
    """fail2ban's server in a folder of its own, with its own sshd filter and nftables action."""

    @staticmethod
    @contextlib.contextmanager
    def running(folder: Path, maxretry: int) -> Iterator[subprocess.Popen[bytes] | None]:
        """A running server that watches auth.log in the folder; None where it is not installed."""
        if shutil.which("fail2ban-server") is None:
            yield None
            return
        (folder / "auth.log").touch()
        etc = folder / "fail2ban"
        shutil.copytree(ETC, etc)
        for old in (etc / "jail.d").iterdir():
            old.unlink()
        (etc / "fail2ban.local").write_text(
            f"[DEFAULT]\nlogtarget = {folder}/f2b.log\nsocket = {folder}/f2b.sock\n"
            f"pidfile = {folder}/f2b.pid\ndbfile = {folder}/f2b.db\n"
        )
        (etc / "jail.local").write_text(
            f"[sshd]\nenabled = true\nbackend = auto\nlogpath = {folder}/auth.log\n"
            f"maxretry = {maxretry}\nfindtime = 1d\nbantime = 1d\nbanaction = nftables-allports\n"
        )
        where = ["-c", str(etc), "-s", f"{folder}/f2b.sock", "-p", f"{folder}/f2b.pid"]
        process = subprocess.Popen(
            ["fail2ban-server", "-f", *where, "start"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        log = folder / "f2b.log"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (log.exists() and "Jail 'sshd' started" in log.read_text()):
            time.sleep(0.1)
        time.sleep(1)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def regex(log: Path, lines: int) -> None:
    """How many lines a second `fail2ban-regex` matches with its own sshd filter."""
    if shutil.which("fail2ban-regex") is None:
        return
    started = time.perf_counter()
    subprocess.run(["fail2ban-regex", str(log), "sshd"], stdout=subprocess.DEVNULL, check=False)
    say(f"fail2ban_regex_{log.stem}", lines / (time.perf_counter() - started), "lines/s")
