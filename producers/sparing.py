"""Commands are asked whom to spare, beside the work and never within it; the answer is put into the event.

| an event of an address | |
|---|---|
| whose answer is known, and not older than FRESH_S | has it |
| whose answer is not known | waits, up to MOST_WAITING of a source, and its address is asked for |
| beyond that, and whose command fails or takes longer than LONGEST_S | goes on, not spared, and it is said |

A command is run as its arguments say, without a shell, with nothing of ours: no input, no descriptors, no
environment but a PATH, no capabilities beyond the user's own; WORKERS at a time at most. What waits is stored
with the position, so that a restart asks again. Such an event is later than all before it: it is a stream of
its own beside its source (as in producers.names).
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from schemas.codec import AuthLine, changed, lines_from, wires_of
from schemas.errors import InvalidMessage
from schemas.sparing import ADDRESS, command_id

WORKERS: Final = 4
LONGEST_S: Final = 10.0
FRESH_S: Final = 300.0
"""fail2ban's ignorecache has as much."""
FAILED_S: Final = 30.0
MOST_WAITING: Final = 1_024
MOST_ANSWERS: Final = 16_384
SUCCEEDED: Final = "succeeded"
ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
DROPPED: Final = ("--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all")
"""Of setpriv(1): what a service was given for its firewall is not its commands'."""
TOO_MANY: Final = "events beyond what may wait for an ignorecommand's answer; they count as not spared"
LOST: Final = "events that waited for an ignorecommand were kept by another version, and cannot be read"

Arguments = tuple[str, ...]
Ask = Callable[[Arguments, str], bool]
"""Whether a command spares an address; OSError or TimeoutExpired where it cannot say."""


def spares(arguments: Arguments, ip: str) -> bool:
    """Run a command: 0 spares, 1 does not. Raises OSError and subprocess.TimeoutExpired for anything else."""
    found = [each.replace(ADDRESS, ip) for each in arguments]
    setpriv = shutil.which("setpriv", path=ENVIRONMENT["PATH"])
    if setpriv is not None:
        found = [setpriv, *DROPPED, "--", *found]
    process = subprocess.Popen(  # noqa: S603 - what the configuration names, from a file that is trusted
        found,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    try:
        code = process.wait(LONGEST_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code not in {0, 1}:
        raise OSError(0, f"it ended with {code}, and not with 0 or 1")
    return code == 0


class Sparer:
    """Asks commands in threads of its own, and remembers what they say."""

    def __init__(self, ask: Ask = spares) -> None:
        self._ask = ask
        self._asked: queue.SimpleQueue[tuple[Arguments, str]] = queue.SimpleQueue()
        self._pending: set[tuple[Arguments, str]] = set()
        self._known: dict[tuple[Arguments, str], tuple[float, bool]] = {}
        self._threads = 0
        self._lock = threading.Lock()
        self.failures: Counter[str] = Counter()

    def ask(self, arguments: Arguments, ip: str) -> bool | None:
        """Whether a command spares an address; None while nobody knows, and it is asked."""
        question = arguments, ip
        with self._lock:
            until_s, answer = self._known.get(question, (0.0, False))
            if time.monotonic() < until_s:
                return answer
            if question not in self._pending:
                self._pending.add(question)
                self._asked.put(question)
            if self._threads < WORKERS:
                threading.Thread(target=self._work, name="sparing", daemon=True).start()
                self._threads += 1
        return None

    def _work(self) -> None:
        while True:
            question = self._asked.get()
            answer, lasts_s = self._answer(*question)
            with self._lock:
                while len(self._known) >= MOST_ANSWERS:
                    del self._known[next(iter(self._known))]
                self._known.pop(question, None)
                self._known[question] = time.monotonic() + lasts_s, answer
                self._pending.discard(question)

    def _answer(self, arguments: Arguments, ip: str) -> tuple[bool, float]:
        """What a command says, and for how long that counts."""
        try:
            return self._ask(arguments, ip), FRESH_S
        except subprocess.TimeoutExpired:
            said = f"has not answered within {LONGEST_S:.0f} s"
        except Exception as error:  # noqa: BLE001 - a thread that ended would leave every later event waiting
            said = f"gives no answer: {getattr(error, 'strerror', None) or error}"
        self.failures[f"ignorecommand {arguments[0]} {said}; whom it was asked for counts as not spared"] += 1
        return False, FAILED_S


class SparingWait:
    """The events of one source that commands are asked about, and those that wait for an answer."""

    def __init__(
        self, sparer: Sparer, commands: Mapping[str, frozenset[Arguments]], saved: Mapping[str, Any]
    ) -> None:
        """`commands`: by filter, which are asked about its events; `saved`: as `save` gave it."""
        self._sparer = sparer
        self._commands = commands
        self._last = int(saved.get("last", 0))
        self.counts: Counter[str] = Counter()
        self._waiting: list[AuthLine] = []
        try:
            self._waiting += lines_from(saved.get("waiting", []))
        except InvalidMessage as error:
            self.counts[f"{LOST}: {error}"] += len(saved["waiting"])

    def sift(self, events: Sequence[AuthLine]) -> list[AuthLine]:
        """The events that wait for nothing, with what is known of them; the others are kept."""
        if not self._commands:
            return list(events)
        ready: list[AuthLine] = []
        for event in events:
            if self._is_known(event):
                ready.append(event)
            elif len(self._waiting) < MOST_WAITING:
                self._waiting.append(event)
            else:
                self.counts[TOO_MANY] += 1
                ready.append(event)
        return ready

    def due(self, now_ms: int) -> list[AuthLine]:
        """The events whose answers are there; they wait no longer."""
        found: list[AuthLine] = []
        left: list[AuthLine] = []
        for event in self._waiting:
            (found if self._is_known(event) else left).append(event)
        self._waiting = left
        return [self._late(event, now_ms) for event in found]

    def save(self) -> dict[str, Any]:
        """What waits, as JSON; empty when nothing ever did."""
        waits = self._waiting or self._last
        return {"waiting": wires_of(self._waiting), "last": self._last} if waits else {}

    def __len__(self) -> int:
        return len(self._waiting)

    def _is_known(self, event: AuthLine) -> bool:
        """Whether all is known that commands say of an event; then it stands in it."""
        commands: Iterable[Arguments] = self._commands.get(event.filter, ())
        if event.kind == SUCCEEDED or not commands:
            return True
        answers = {arguments: self._sparer.ask(arguments, event.ip) for arguments in commands}
        if None in answers.values():
            return False
        event.spared = tuple(sorted(command_id(each) for each, spared in answers.items() if spared))
        return True

    def _late(self, event: AuthLine, now_ms: int) -> AuthLine:
        self._last = max(self._last + 1, now_ms * 1_000)
        return changed(event, incarnation=f"{event.incarnation}/asked", position=self._last)
