"""The journal source: `journalctl --follow` as a child process, its cursor as the position.

An entry becomes one line, `2026-11-22T09:00:00.123456+00:00 host sshd[123]: message`, so that a filter meets
the same text as in a file; a container's has `docker/NAME` for a program, by which its lines are known for
what they are (`producers.filters.entries`). The journal's own fields are trusted: its times count, however
old they are.
Formats: journalctl(1), systemd.journal-fields(7), https://systemd.io/JOURNAL_EXPORT_FORMATS
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import orjson

from producers.contract import LINE_LIMIT_BYTES, Chunk, SourceKind, StartPosition, stored
from producers.filters.headers import without_colours
from producers.journal import journal_entry, message_of
from producers.sources.journal_pieces import JournalPieces
from producers.sources.tail import CUT
from producers.torn_lines import NOT_JOINED
from schemas.errors import ConfigError

JOURNALS: Final = (Path("/var/log/journal"), Path("/run/log/journal"))
MACHINE_ID: Final = Path("/etc/machine-id")
BACKOFF_MS: Final = 1_000
BACKOFF_LIMIT_MS: Final = 60_000
ENTRY_LIMIT_BYTES: Final = 16 << 20
CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f\[\]:]+")
UNREADABLE: Final = "entries of the journal that are not JSON objects with a MESSAGE"


class JournaldSource:
    """Follows the journal's entries that match."""

    def __init__(
        self,
        spec: str,
        resume: Mapping[str, Any] | None,
        start: StartPosition,
        now_ms: Callable[[], int],
    ) -> None:
        self._matches = _matches(spec)
        self.id = f"journald:{' '.join(self._matches)}"
        self._now_ms = now_ms
        resume = resume or {"incarnation": f"{now_ms():x}", "since_ms": _since_ms(start, now_ms())}
        self._incarnation = stored(resume, "incarnation", str)
        self._since_ms = stored(resume, "since_ms", int)
        self._position = stored({"position": 0, **resume}, "position", int)
        self._cursor = None if resume.get("cursor") is None else stored(resume, "cursor", str)
        self._child: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._retry_at_ms = 0
        self._backoff_ms = BACKOFF_MS
        self._notices: Counter[str] = Counter()
        self._trouble: str | None = None
        self._pieces = JournalPieces()
        self._pieces.load(stored({"pieces": {}, **resume}, "pieces", dict), self._pieces_again)
        self._run()

    def filenos(self) -> list[int]:
        """The pipe from journalctl."""
        return [_pipe(self._child)] if self._child else []

    def read(self, max_bytes: int) -> Chunk | None:
        """The entries that journalctl has written by now, as lines."""
        if self._child is None and self._now_ms() >= self._retry_at_ms:
            self._run()
        if self._child is None:
            return None
        try:
            data = os.read(_pipe(self._child), max_bytes)
        except BlockingIOError:
            return None
        if not data:
            self._reap(self._child)
            return None
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._pending = self._limited(self._pending + data)
            return None
        lines = self._rendered((self._pending + whole).split(b"\n"))
        self._pending = rest
        return self._chunk(lines) if lines else None

    def again(self, incarnation: str, start: int, length: int) -> bytes:
        """Nothing: it puts its lines together itself."""
        del incarnation, start, length
        return b""

    def position(self) -> dict[str, Any]:
        """The cursor of the last entry, and since when entries count while there was none."""
        return {
            "incarnation": self._incarnation,
            "position": self._position,
            "cursor": self._cursor,
            "since_ms": self._since_ms,
            "pieces": self._pieces.save(),
        }

    def notices(self) -> Mapping[str, int]:
        """What went wrong and was survived."""
        found = self._notices + Counter({NOT_JOINED: self._pieces.lost})
        return found | Counter({self._trouble: 1} if self._trouble else {})

    def close(self) -> None:
        """End journalctl. Idempotent."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _run(self) -> None:
        try:
            self._child = subprocess.Popen(  # noqa: S603 - an argument list of the configuration's, no shell
                self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            self._trouble = f"{self.id}: journalctl cannot be started: {error.strerror}"
            self._back_off()
            return
        os.set_blocking(_pipe(self._child), False)
        self._pending = b""

    def _places(self) -> list[str]:
        return [f"--{match}" for match in self._matches if match[0].islower()]

    def _pieces_again(self, name: str, cursor: str, count: int) -> list[Mapping[str, Any]]:
        """The pieces of a line that stand in the journal; fewer where it cannot be asked."""
        command = ["journalctl", "--output=json", "--all", "--quiet", "--no-pager", *self._places()]
        command += [f"--cursor={cursor}", f"CONTAINER_PARTIAL_ID={name}"]
        try:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:  # noqa: S603 - as above
                found = [orjson.loads(line) for line in islice(child.stdout or (), count)]
                child.kill()
        except (OSError, ValueError):
            return []
        return found

    def _command(self) -> list[str]:
        """How journalctl is called: `--follow` shows this boot's entries alone, but for `--merge`."""
        fields = [match for match in self._matches if not match[0].islower()]
        since = f"--since=@{self._since_ms / 1_000:.3f}"
        begin = since if self._cursor is None else f"--after-cursor={self._cursor}"
        command = ["journalctl", "--output=json", "--follow", "--no-tail", "--all", "--quiet", "--no-pager"]
        places = self._places()
        machine = None if places else _machine()
        merge = ["--merge"] if places or machine else []
        return [*command, *merge, *places, begin, *_of(machine, fields)]

    def _rendered(self, entries: Sequence[bytes]) -> list[bytes]:
        lines: list[bytes] = []
        for text in entries:
            try:
                entry = orjson.loads(text)
                whole = self._pieces.take(entry)
                line = b"" if whole is None else render(whole)
                self._cursor = entry["__CURSOR"]
            except (ValueError, KeyError, TypeError):
                self._notices[UNREADABLE] += 1
                continue
            self._notices[CUT] += len(line) > LINE_LIMIT_BYTES
            lines.append(line)
        return lines

    def _chunk(self, lines: list[bytes]) -> Chunk:
        data = b"".join(lines)
        start = self._position
        self._position += len(data)
        self._backoff_ms = BACKOFF_MS
        self._trouble = None
        return Chunk(data, self._incarnation, start, self.position(), live=False, origin=self.id)

    def _limited(self, pending: bytes) -> bytes:
        if len(pending) <= ENTRY_LIMIT_BYTES:
            return pending
        self._notices[UNREADABLE] += 1
        return b""

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        _, errors = child.communicate()
        said = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        self._trouble = f"{self.id}: journalctl ended ({child.returncode}): {said or 'without a word'}"
        self._child = None
        self._back_off()

    def _back_off(self) -> None:
        self._retry_at_ms = self._now_ms() + self._backoff_ms
        self._backoff_ms = min(self._backoff_ms * 2, BACKOFF_LIMIT_MS)


def render(entry: Mapping[str, Any]) -> bytes:
    """A journal entry as a syslog line. Raises KeyError, TypeError or ValueError when it is none."""
    message = message_of(entry["MESSAGE"])
    found = journal_entry(entry)
    seconds, micros = divmod(int(found.at_us), 1_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    program = (
        f"docker/{'/'.join(map(_word, found.names)) or '-'}" if found.container else _word(found.program)
    )
    pid = f"[{found.pid}]" if found.pid.isdigit() else ""
    head = f"{stamp}.{micros:06}+00:00 {_word(found.host)} {program}{pid}: "
    text = CONTROLS.sub(lambda found: b"\\%03o" % found[0][0], without_colours(message))
    return (head.encode("utf-8", "replace") + text)[:LINE_LIMIT_BYTES] + b"\n"


def problems_of(matches: Sequence[str]) -> list[str]:
    """What is wrong with the fields of a journal source."""
    spec = f"journald:{' '.join(matches)}"
    problems = [
        f"{spec}: {match!r} is no FIELD=VALUE (as _SYSTEMD_UNIT=ssh.service), nor file=PATH or directory=PATH"
        for match in matches
        if match != "+" and not re.fullmatch(r"(?:[A-Z0-9_]+|file|directory)=.+", match, re.DOTALL)
    ]
    if shutil.which("journalctl") is None:
        problems.append(
            f"{spec}: journalctl is not installed; read a log file instead (file:/var/log/auth.log)"
        )
    return problems


def _machine() -> str | None:
    """This machine's id, of machine-id(5); None where it has none."""
    try:
        return MACHINE_ID.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def _of(machine: str | None, fields: Sequence[str]) -> list[str]:
    """The matches, of one machine's entries: merged journals may hold what others have sent here."""
    if machine is None:
        return list(fields)
    own = f"_MACHINE_ID={machine}"
    return [own, *chain.from_iterable((match, own) if match == "+" else (match,) for match in fields)]


def _since_ms(start: StartPosition, now_ms: int) -> int:
    """From when on entries count; the journal is asked by time, so that `end` survives a restart too."""
    return {"beginning": 0, "recent": now_ms - start.recent_ms, "end": now_ms}[start.at]


def _word(text: str) -> str:
    """A field as one word, so that it cannot pose as another part of the line."""
    return BLANK.sub("_", text) or "-"


def _pipe(child: subprocess.Popen[bytes] | None) -> int:
    if child is None or child.stdout is None:
        raise ValueError("no pipe")
    return child.stdout.fileno()


def _check(spec: str) -> list[str]:
    try:
        return problems_of(_matches(spec))
    except ConfigError as error:
        return [str(error)]


def _matches(spec: str) -> list[str]:
    try:
        return shlex.split(spec.partition(":")[2])
    except ValueError as error:
        raise ConfigError(f"{spec}: {error}; quote a value that holds spaces or quotes") from error


def _missing(spec: str) -> list[str]:
    """Where no journal is kept that this user may read nothing will come of following it, without a word."""
    if any(match.startswith(("file=", "directory=")) for match in _matches(spec)):
        return []
    journals = [journal for place in JOURNALS for journal in place.glob("**/*.journal*")]
    if not journals:
        places = " nor ".join(map(str, JOURNALS))
        return [f"{spec}: this machine keeps no journal, neither in {places}; is systemd-journald running?"]
    if not any(os.access(journal, os.R_OK, effective_ids=True) for journal in journals):
        advice = "make it a member of a group that may: usermod --append --groups systemd-journal USER"
        return [f"{spec}: this user may not read the journal in {journals[0].parent}; {advice}"]
    return []


KIND: Final = SourceKind(
    spec=re.compile("(?s)journald:.+"), open=JournaldSource, check=_check, missing=_missing
)
