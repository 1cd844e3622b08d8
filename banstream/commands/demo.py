"""`banstream demo`: ten seconds that show what this is. Nothing of the machine is touched.

Root sees real bans in nftables, inside a network namespace that ends with the demonstration; anybody else
sees the same with the backend that only observes.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from banstream.instants import now_ms
from banstream.show import say

if TYPE_CHECKING:
    from banstream.pipeline import Pipeline

CLONE_NEWNET: Final = 0x40000000
ATTACKER, CLUMSY = "203.0.113.66", "198.51.100.7"
BANTIME_S: Final = 3
CONFIGURATION: Final = """
[log]
url = "sqlite://{folder}/log.db"
[jail.sshd]
source = "file:{folder}/auth.log"
maxretry = 3
bantime = "{bantime}s"
[enforcer]
backend = "{backend}"
"""


@click.command("demo")
def demo_command() -> int:
    """Ten seconds that show what this is: an attack, a ban, the reason, the unban, a stricter rule.

    It runs in a temporary folder, and as root in a network namespace of its own: the machine is not touched.
    """
    with TemporaryDirectory(prefix="banstream-demo-") as folder:
        Demo(Path(folder), _own_network()).play()
    return 0


def _own_network() -> bool:
    """Move this process into a network namespace of its own; False when it may not."""
    return os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0


@dataclass(slots=True)
class Demo:
    """The demonstration, in a folder; `real`: with nftables."""

    folder: Path
    real: bool

    def play(self) -> None:
        """Tell the story from the first line to the replay."""
        from banstream.config import load_settings
        from banstream.pipeline import Pipeline
        from banstream.wiring import Stages
        from eventlog.urls import open_log

        file = self._configure()
        settings = load_settings(str(file))
        event_log = open_log(settings.log_url)
        stages = Stages.connect(settings, event_log, now_ms)
        pipeline = Pipeline(event_log, stages, reload=lambda: settings, now_ms=now_ms)
        say(f"A server that bans for {BANTIME_S} seconds after 3 failures, with a log of its own.")
        say(f"Firewall: {self._firewall(stages.observing)}.")
        try:
            self._attack(pipeline)
            self._wait_for_unban(pipeline)
        finally:
            pipeline.close()
        self._replay(file)
        _chapter("That is all of it. On this machine: banstream doctor, then banstream up.")

    def _firewall(self, observing: str | None) -> str:
        if not self.real:
            return "none; root sees nftables, in a network namespace"
        return f"none: {observing}" if observing else "nftables, in a network namespace"

    def _configure(self) -> Path:
        backend = "nftables" if self.real else "null"
        text = CONFIGURATION.format(folder=self.folder, bantime=BANTIME_S, backend=backend)
        file = self.folder / "banstream.toml"
        file.write_text(text, encoding="utf-8")
        stricter = text.replace("maxretry = 3", "maxretry = 2")
        (self.folder / "stricter.toml").write_text(stricter, encoding="utf-8")
        (self.folder / "auth.log").touch()
        return file

    def _attack(self, pipeline: Pipeline) -> None:
        _chapter("1. Somebody guesses passwords; a colleague mistypes his, twice")
        for attempt, (ip, user) in enumerate(
            [(ATTACKER, "root"), (CLUMSY, "ann"), (ATTACKER, "admin"), (CLUMSY, "ann"), (ATTACKER, "oracle")]
        ):
            self._write(
                f"sshd[{4_000 + attempt}]: Failed password for {user} from {ip} port {50_000 + attempt} ssh2"
            )
            pipeline.turn()
            time.sleep(0.4)
        _chapter("2. The third failure within ten minutes decides; this is what the firewall holds now")
        _settle(pipeline, lambda: bool(pipeline.stages.backend.list()))
        for element in pipeline.stages.backend.list():
            say(f"   {element.prefix}, for another {(element.remaining_ms or 0) / 1_000:.1f} s")
        _chapter("3. banstream explain " + ATTACKER)
        self._explain()

    def _wait_for_unban(self, pipeline: Pipeline) -> None:
        _chapter(f"4. {BANTIME_S} seconds later it is free again, and that is a record too")
        _settle(pipeline, lambda: not pipeline.stages.decider.next_expiry_ms(), seconds=BANTIME_S + 2)
        self._explain(last_only=True)

    def _explain(self, *, last_only: bool = False) -> None:
        from banstream.chains import chain_of, decisions_about
        from banstream.commands.explain import show_chain
        from eventlog.urls import open_log

        log = open_log(f"sqlite://{self.folder}/log.db", read_only=True)
        try:
            decisions = decisions_about(log, ATTACKER)
            for decision in decisions[-1:] if last_only else decisions:
                show_chain(chain_of(log, decision))
        finally:
            log.close()

    def _replay(self, file: Path) -> None:
        from banstream.commands.replay import replay_command

        stricter, history = str(self.folder / "stricter.toml"), str(self.folder / "auth.log")
        _chapter("5. Would two failures be a better rule? Ask history: banstream replay --diff stricter.toml")
        replay_command.main(
            ["--config", str(file), "--diff", stricter, history], standalone_mode=False, prog_name="replay"
        )

    def _write(self, message: str) -> None:
        line = f"{time.strftime('%b %e %H:%M:%S')} server {message}"
        say(f"   {line}")
        with (self.folder / "auth.log").open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def _chapter(title: str) -> None:
    click.echo()
    say(title)


def _settle(pipeline: Pipeline, done: Callable[[], bool], seconds: float = 3) -> None:
    """Turn the pipeline until something is so, or too much time has passed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pipeline.turn()
        if done():
            return
        time.sleep(0.02)
