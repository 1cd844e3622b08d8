"""The journal source on real journal files, and what it makes of odd entries."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from producers.contract import Chunk, StartPosition
from producers.sources import SSHD_JOURNAL, check_source, missing_files, open_source
from producers.sources.journal_pieces import JournalPieces
from producers.sources.journald import JournaldSource, render
from producers.torn_lines import NOT_JOINED

REMOTE = "/lib/systemd/systemd-journal-remote"
PATIENCE_S = 30
BEGIN_US = 1_795_338_000_000_000


class Journal:
    """A journal file, written by systemd's own tool."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def write(self, *messages: bytes, unit: str = "ssh.service", **fields: object) -> None:
        """Append entries in the journal's export format, with more fields."""
        entries = b"".join(self.entry(message, unit, fields) for message in messages)
        command = [REMOTE, f"--output={self.path}", "--split-mode=none", "-"]
        subprocess.run(command, input=entries, check=True, capture_output=True, timeout=PATIENCE_S)

    def piece(self, line: str, ordinal: int, message: bytes, *, last: bool = False) -> None:
        """Append a piece of a container's line, as Docker's driver does."""
        fields: dict[str, Any] = {"CONTAINER_PARTIAL_ID": line, "CONTAINER_PARTIAL_ORDINAL": ordinal}
        if not last:
            fields["CONTAINER_PARTIAL_MESSAGE"] = "true"
        self.write(message, **fields, CONTAINER_PARTIAL_LAST=str(last).lower())

    def entry(self, message: bytes, unit: str, more: Mapping[str, object]) -> bytes:
        """One entry; its time is a second after the last one's."""
        self.count += 1
        at_us = BEGIN_US + self.count * 1_000_000
        fields = {
            "__REALTIME_TIMESTAMP": at_us,
            "__MONOTONIC_TIMESTAMP": self.count,
            "_BOOT_ID": "0" * 31 + "1",
            "_MACHINE_ID": "0" * 31 + "2",
            "_SOURCE_REALTIME_TIMESTAMP": at_us - 500_000,
            "_HOSTNAME": "web",
            "SYSLOG_IDENTIFIER": "sshd",
            "_PID": 4711,
            "_SYSTEMD_UNIT": unit,
            **more,
        }
        head = "".join(f"{name}={value}\n" for name, value in fields.items()).encode()
        return head + b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n\n"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal file with two entries of sshd and one of another unit."""
    journal = Journal(tmp_path / "remote.journal")
    journal.write(b"Invalid user x from 192.0.2.7 port 5", b"two")
    journal.write(b"not ours", unit="cron.service")
    return journal


@pytest.fixture
def spec(journal: Journal) -> str:
    """The source of that file."""
    return f"journald:directory={journal.path.parent} _SYSTEMD_UNIT=ssh.service"


@pytest.fixture
def opened() -> Iterator[list[JournaldSource]]:
    """Sources to be closed at the end."""
    sources: list[JournaldSource] = []
    yield sources
    for source in sources:
        source.close()


def follow(spec: str, opened: list[JournaldSource], chunk: Chunk | None = None) -> JournaldSource:
    """A source, from the beginning or after a chunk."""
    source = open_source(spec, None if chunk is None else chunk.resume, StartPosition("beginning"))
    assert isinstance(source, JournaldSource)
    opened.append(source)
    return source


def read(source: JournaldSource, lines: int) -> list[Chunk]:
    """Chunks until there are so many lines."""
    chunks: list[Chunk] = []
    deadline = time.monotonic() + PATIENCE_S
    while sum(chunk.data.count(b"\n") for chunk in chunks) < lines:
        assert time.monotonic() < deadline, (chunks, source.notices())
        chunk = source.read(1 << 20)
        if chunk is None:
            time.sleep(0.02)
        else:
            chunks.append(chunk)
    return chunks


@pytest.mark.real("journald")
def test_entries_become_syslog_lines(spec: str, opened: list[JournaldSource]) -> None:
    """Matching entries come as ISO-stamped lines with the time they were made, and follow on."""
    chunks = read(follow(spec, opened), 2)
    assert b"".join(chunk.data for chunk in chunks) == (
        b"2026-11-22T09:00:00.500000+00:00 web sshd[4711]: Invalid user x from 192.0.2.7 port 5\n"
        b"2026-11-22T09:00:01.500000+00:00 web sshd[4711]: two\n"
    )
    assert chunks[0].start == 0


@pytest.mark.real("journald")
def test_a_restart_goes_on_after_the_cursor(
    journal: Journal, spec: str, opened: list[JournaldSource]
) -> None:
    """What was read is not read again, what came meanwhile is, at the position that follows."""
    last = read(follow(spec, opened), 2)[-1]
    journal.write(b"three")
    (chunk,) = read(follow(spec, opened, last), 1)
    assert chunk.data == b"2026-11-22T09:00:03.500000+00:00 web sshd[4711]: three\n"
    assert chunk.incarnation == last.incarnation
    assert chunk.start == last.start + len(last.data)


@pytest.mark.real("journald")
def test_new_entries_are_followed(journal: Journal, spec: str, opened: list[JournaldSource]) -> None:
    """An entry written while the source reads is read."""
    source = follow(spec, opened)
    read(source, 2)
    journal.write(b"three")
    assert read(source, 1)[0].data.endswith(b"three\n")


@pytest.mark.real("journald")
def test_what_was_written_before_a_reboot_is_read(
    journal: Journal, spec: str, opened: list[JournaldSource]
) -> None:
    """`journalctl --follow` by itself is of the last boot alone."""
    source = follow(spec, opened)
    (chunk,) = read(source, 2)
    source.close()
    journal.write(b"the last before the reboot")
    journal.write(b"the first after it", _BOOT_ID="0" * 31 + "9")
    chunks = read(follow(spec, opened, chunk), 2)
    said = b"".join(each.data for each in chunks).splitlines()
    assert [line.partition(b"]: ")[2] for line in said] == [
        b"the last before the reboot",
        b"the first after it",
    ]


FOLLOW: Final = """
import sys, time
from producers.contract import StartPosition
from producers.sources import open_source
source = open_source(sys.argv[1], None, StartPosition("beginning"))
said, until = b"", time.monotonic() + 20
while said.count(b"\\n") < 3 and time.monotonic() < until:
    chunk = source.read(1 << 20)
    said += chunk.data if chunk else b""
    time.sleep(0.02)
source.close()
print(said.decode(), end="")
"""


@pytest.mark.real("nftables", "journald")
def test_this_machines_journal_is_read_over_every_boot_and_nobody_elses(tmp_path: Path) -> None:
    """Another machine's entries, which systemd-journal-remote has put beside, count for nobody here."""
    machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    for folder in (machine, "remote"):
        (tmp_path / folder).mkdir()
    own = Journal(tmp_path / machine / "system.journal")
    own.write(b"first", _MACHINE_ID=machine)
    other = Journal(tmp_path / "remote/remote-192.0.2.9.journal")
    other.write(b"another's", b"another's", b"another's")
    own.write(b"second", _MACHINE_ID=machine, _BOOT_ID="0" * 31 + "9", unit="sshd.service")
    instance = {"unit": "sshd@3-10:22.service", "_SYSTEMD_SLICE": "system-sshd.slice"}
    own.write(b"third", _MACHINE_ID=machine, _BOOT_ID="0" * 31 + "9", **instance)
    own.write(b"cron's", _MACHINE_ID=machine, unit="cron.service")
    script = 'mount --bind "$0" /var/log/journal && exec "$1" -P -c "$2" "$3"'
    Path("/var/log/journal").mkdir(exist_ok=True)
    command = ["unshare", "--mount", "sh", "-c", script, str(tmp_path), sys.executable, FOLLOW, SSHD_JOURNAL]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert [line.partition("]: ")[2] for line in said.splitlines()] == ["first", "second", "third"]


def test_journalctl_is_started_again_when_it_dies(
    journal: Journal, spec: str, opened: list[JournaldSource]
) -> None:
    """A killed journalctl is a notice, and the next one goes on after the cursor."""
    source = follow(spec, opened)
    read(source, 2)
    (fileno,) = source.filenos()
    child = source._child  # noqa: SLF001 - the test kills what it started, by its id
    assert child is not None
    child.kill()
    journal.write(b"three")
    assert read(source, 1)[0].data.endswith(b"three\n")
    assert fileno is not None


@pytest.mark.real("journald")
def test_bytes_and_newlines_in_a_message_are_escaped(
    journal: Journal, spec: str, opened: list[JournaldSource]
) -> None:
    """A message with control characters is one line; what is no UTF-8 passes as it is."""
    journal.write(b"a\nNov 22 09:00:00 web sshd[1]: b\x1b]0m\xff")
    data = b"".join(chunk.data for chunk in read(follow(spec, opened), 3))
    assert data.endswith(b"a\\012Nov 22 09:00:00 web sshd[1]: b\\033]0m\xff\n")


@pytest.mark.real("journald")
def test_a_journal_that_cannot_be_read_is_said(tmp_path: Path, opened: list[JournaldSource]) -> None:
    """When journalctl ends by itself, its last words are a notice."""
    source = follow(f"journald:directory={tmp_path}/none", opened)
    deadline = time.monotonic() + PATIENCE_S
    while not any("journalctl ended" in notice for notice in source.notices()):
        assert source.read(1 << 20) is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.real("journald")
def test_the_pieces_of_a_containers_line_are_put_together(
    journal: Journal, spec: str, opened: list[JournaldSource]
) -> None:
    """Mixed with those of another, and with whole lines; a restart after each piece changes nothing."""
    source, chunks = follow(spec, opened), list[Chunk]()
    chunks += read(source, 2)
    for number, piece in enumerate((b"login of aaa", b"a" * 16_384, b" from 192.0.2.7"), start=1):
        journal.piece("1a", number, piece, last=number == 3)
        if number == 2:
            journal.piece("2b", 1, b"login of b")
        journal.write(b"whole %d" % number)
        chunks += read(source, 1 + number // 3)
        source.close()
        source = follow(spec, opened, chunks[-1])
    journal.piece("2b", 2, b" from 192.0.2.8", last=True)
    chunks += read(source, 1)
    messages = [line.partition(b"]: ")[2] for chunk in chunks for line in chunk.data.splitlines()]
    assert messages[2:] == [
        b"whole 1",
        b"whole 2",
        b"login of aaa" + b"a" * 16_384 + b" from 192.0.2.7",
        b"whole 3",
        b"login of b from 192.0.2.8",
    ]
    assert not source.notices()


@pytest.mark.real("journald")
def test_a_containers_line_with_a_piece_missing_is_not_read(
    journal: Journal, spec: str, opened: list[JournaldSource]
) -> None:
    """What is behind it may begin with a client's words; it is counted."""
    journal.piece("1a", 2, b"login of x from 203.0.113.9")
    journal.piece("1a", 3, b"login of x from 203.0.113.9", last=True)
    journal.write(b"whole")
    source = follow(spec, opened)
    assert b"203.0.113.9" not in b"".join(chunk.data for chunk in read(source, 3))
    assert source.notices() == {NOT_JOINED: 1}


def test_pieces_of_a_driver_of_before_end_with_an_entry_that_is_not_marked() -> None:
    """By container and stream: the piece behind the marked ones is never a line of its own."""
    pieces = JournalPieces()
    first = ENTRY | {"MESSAGE": "a", "CONTAINER_ID_FULL": "c1", "PRIORITY": "6"}
    assert pieces.take(first | {"CONTAINER_PARTIAL_MESSAGE": "true"}) is None
    other = first | {"PRIORITY": "3"}
    assert pieces.take(other) is other
    whole = pieces.take(first | {"MESSAGE": "b"})
    assert whole is not None
    assert bytes(whole["MESSAGE"]) == b"ab"


ENTRY = {"__REALTIME_TIMESTAMP": "1795338000000000", "__CURSOR": "c", "_HOSTNAME": "web", "_PID": "1"}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"MESSAGE": "x", "SYSLOG_IDENTIFIER": "sshd"}, b"web sshd[1]: x"),
        ({"MESSAGE": [120, 10, 121], "_COMM": "sshd"}, b"web sshd[1]: x\\012y"),
        ({"MESSAGE": "x", "SYSLOG_IDENTIFIER": "a sshd[2]: b"}, b"web a_sshd_2_b[1]: x"),
        ({"MESSAGE": "x"}, b"web -[1]: x"),
    ],
)
def test_a_field_cannot_pose_as_another(fields: dict[str, object], line: bytes) -> None:
    """Bytes and missing fields are rendered; blanks and brackets in a name are not what they seem."""
    assert render(ENTRY | fields) == b"2026-11-22T09:00:00.000000+00:00 " + line + b"\n"


def test_an_entry_without_a_message_is_no_line() -> None:
    """A null message, as of an entry too large for journalctl, is refused for the caller to count."""
    with pytest.raises(TypeError):
        render(ENTRY | {"MESSAGE": None})


def test_a_wrong_field_is_a_problem() -> None:
    """The check names what is no FIELD=VALUE."""
    (problem,) = check_source("journald:ssh.service")
    assert "ssh.service" in problem
    assert "FIELD=VALUE" in problem


def test_a_journal_that_nobody_keeps_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this machine's own; one that is named by its files is what it is."""
    monkeypatch.setattr("producers.sources.journald.JOURNALS", (tmp_path / "log", tmp_path / "run"))
    spec = "journald:_SYSTEMD_UNIT=ssh.service"
    (said,) = missing_files(spec)
    assert f"this machine keeps no journal, neither in {tmp_path}/log nor {tmp_path}/run" in said
    assert missing_files(f"{spec} directory={tmp_path}") == []
    (tmp_path / "run" / "0123").mkdir(parents=True)
    (tmp_path / "run" / "0123" / "system.journal").touch()
    assert missing_files(spec) == []


@pytest.mark.real("nftables")
def test_a_journal_that_may_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journalctl would show nothing, and say nothing."""
    spec = "journald:_SYSTEMD_UNIT=ssh.service"
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr("producers.sources.journald.JOURNALS", (Path(folder),))
        journal = Path(folder, "system.journal")
        journal.touch(mode=0o600)
        assert missing_files(spec) == []
        os.seteuid(65_534)
        try:
            (said,) = missing_files(spec)
        finally:
            os.seteuid(0)
        assert f"may not read the journal in {folder}" in said
        assert "systemd-journal" in said
