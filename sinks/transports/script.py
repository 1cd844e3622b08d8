"""A program for each item: arguments without a shell, fail2ban's tags in them and in the environment.

| it ends | then |
|---|---|
| with 0 | the item is taken |
| with 75 (EX_TEMPFAIL, sysexits.h) | it is run again, later and later |
| otherwise, or not in time | it is run again, `tries` times in all; then the item is a dead letter |

It has the item on its standard input, in the sink's format. Of one address one runs at a time.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

from eventlog.trust import doubt
from schemas.errors import Transient
from schemas.steering import printable
from sinks.contract import (
    TAKEN,
    Item,
    Option,
    Options,
    Parcel,
    Reception,
    Sending,
    SentBy,
    SinkAnswer,
    TransportKind,
)
from sinks.sample import sample
from sinks.tags import HOSTILE, filled, tags_of, unknown_tags

AGAIN_CODE: Final = 75
SAID_BYTES: Final = 1_000
VALUE_CHARACTERS: Final = 30 << 10
"""Of a variable, four bytes each at most."""
ARGUMENT_BYTES: Final = 120 << 10
"""The kernel takes 128 KiB with the byte that ends it (MAX_ARG_STRLEN)."""
COMMAND_BYTES: Final = 512 << 10
"""Of all arguments; beside the environment they are less than the kernel takes of both (2 MiB)."""
MOST_AT_ONCE: Final = 64


class Child(NamedTuple):
    """A program that runs: its item, where it says what is wrong, and until when it may."""

    sending: Sending
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    until_s: float


class ScriptTransport:
    """Runs a command."""

    def __init__(self, options: Options) -> None:
        """`options`: `command`, `timeout`, `tries`, `parallel`."""
        self._command: tuple[str, ...] = options["command"]
        self._timeout_s = options["timeout"] / 1_000
        self._tries = int(options["tries"])
        self._at_once = int(options["parallel"])
        self._failures: Counter[str] = Counter()

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Run it for the first of them: as many as may at once, of different addresses. Raises Transient."""
        children: list[Child] = []
        keys: set[str] = set()
        try:
            for sending in batch[: self._at_once]:
                if sending.item.key in keys:
                    break
                keys.add(sending.item.key)
                children.append(self._started(sending))
            return [self._answer(child) for child in children]
        finally:
            for child in children:
                _end(child.process)
                child.said.close()

    def close(self) -> None:
        """Nothing to let go of."""

    def _started(self, sending: Sending) -> Child:
        tags = tags_of(sending.item)
        program, *arguments = self._command
        try:
            if why := doubt(Path(program)):
                raise Transient(f"{program}: not run, since it cannot be trusted: {why}")
            said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its child
            process = subprocess.Popen(  # noqa: S603 - no shell, and who may write the configuration may run it
                [program, *_cut([filled(each, tags, argument) for each in arguments])],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=environment(sending.item, tags),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise Transient(f"{program}: {error.strerror}") from error
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.write(sending.body[: 60 << 10])  # as much as a pipe holds, unread
                process.stdin.close()
        return Child(sending, process, said, time.monotonic() + self._timeout_s)

    def _answer(self, child: Child) -> SinkAnswer:
        ident = child.sending.item.id
        try:
            code = child.process.wait(max(0.0, child.until_s - time.monotonic()))
            what = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        except subprocess.TimeoutExpired:
            code, what = 1, f"not done within {self._timeout_s:g} s"
        if code == 0:
            self._failures.pop(ident, None)
            return TAKEN
        child.said.seek(max(0, child.said.seek(0, os.SEEK_END) - SAID_BYTES))
        told = printable(child.said.read().decode("utf-8", "replace").strip())
        said = f"{self._command[0]}: {what}{f': {told}' if told else ''}"
        if code == AGAIN_CODE:
            return SinkAnswer(Reception.AGAIN, said)
        self._failures[ident] += 1
        if self._failures[ident] < self._tries:
            return SinkAnswer(Reception.AGAIN, said)
        del self._failures[ident]
        return SinkAnswer(Reception.HOPELESS, said)


def argument(name: str, value: str) -> str:
    """A tag's value within an argument: on one line, and where others write it, never an option."""
    told = printable(value)
    return f"\\x2d{told[1:]}" if name in HOSTILE and told.startswith("-") else told


def _cut(arguments: Sequence[str]) -> list[bytes]:
    """Arguments that the kernel takes, however long a line in them is."""
    most = min(ARGUMENT_BYTES, COMMAND_BYTES // max(1, len(arguments)))
    cut = [each.encode("utf-8", "replace")[:most] for each in arguments]
    return [each.decode("utf-8", "ignore").encode() for each in cut]


def environment(item: Item, tags: Mapping[str, str]) -> dict[str, str]:
    """What a program knows: the tags as BANSTREAM_IP and so on, as they are, and next to nothing else."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    named = {
        f"BANSTREAM_{re.sub('[^A-Z0-9]', '_', name.upper())}": value.replace("\0", "")[:VALUE_CHARACTERS]
        for name, value in tags.items()
    }
    return {"LANG": "C.UTF-8", **kept, **named, "BANSTREAM_SAMPLE": "1" if item.sample else ""}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of it stays: it, and what it has started and waits for."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _doubt(_: str, options: Options) -> str | None:
    command = options["command"]
    if not command or not command[0].startswith("/"):
        return 'script: with command = ["/absolute/path", "<ip>"]'
    known = tags_of(sample(0))
    unknown = [tag for each in command for tag in unknown_tags(each, known)]
    if unknown:
        there = ", ".join(known)
        return f"command with tags that are known, not {', '.join(unknown)}; there are {there}"
    if options["parallel"] > MOST_AT_ONCE:
        return f"parallel up to {MOST_AT_ONCE}"
    return None


def _open(_: str, options: Options, __: Parcel, ___: SentBy) -> ScriptTransport:
    return ScriptTransport(options)


SCRIPT: Final = TransportKind(
    _open,
    options={
        "command": Option("texts", ()),
        "timeout": Option("duration", 30_000),
        "tries": Option("whole", 3),
        "parallel": Option("whole", 1),
    },
    doubt=_doubt,
    on=("ban", "unban"),
    most=MOST_AT_ONCE,
)
