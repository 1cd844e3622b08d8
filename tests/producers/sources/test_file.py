"""The file source on real files: rotation, restart, truncation, globs, long lines."""

from __future__ import annotations

import gzip
import os
import random
import resource
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from errno import ENAMETOOLONG
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest

from producers.contract import LINE_LIMIT_BYTES, Chunk, Source, StartPosition
from producers.sources import check_source, open_source
from producers.sources.folders import CROWDED, FOREIGN, UNNAMED, Folders
from producers.sources.known import MOST_GONE
from producers.sources.packed import FULL, MAGIC, STEP_BYTES, Gunzip
from producers.sources.paths import paths_of
from producers.sources.tail import CUT, GONE, LINGER_MS
from schemas.bounds import NAME_CHARACTERS

READ_BYTES = 1 << 16
NOBODY = 65_534


Follow = Callable[..., "Follower"]


class Follower:
    """Reads a source as the producer does, across restarts, on a clock of its own."""

    def __init__(self, spec: str, start: StartPosition | None = None) -> None:
        self.now_ms = 1_795_338_000_000
        self.chunks: list[Chunk] = []
        self._spec = spec
        self._start = start or StartPosition("beginning")
        self._resume: Mapping[str, Any] | None = None
        self.source = self._opened()

    def drain(self) -> bytes:
        """Read to the end; what was read now."""
        before = len(self.chunks)
        while (chunk := self.source.read(READ_BYTES)) is not None:
            self.chunks.append(chunk)
            self._resume = chunk.resume
        return b"".join(chunk.data for chunk in self.chunks[before:])

    def step(self) -> None:
        """Read once."""
        chunk = self.source.read(READ_BYTES)
        if chunk is not None:
            self.chunks.append(chunk)
            self._resume = chunk.resume

    def restart(self) -> None:
        """Stop, and start again from the last chunk's position."""
        self.source.close()
        self.source = self._opened()

    def go_on_from(self, resume: Mapping[str, Any]) -> None:
        """Stop, and start again from some position."""
        self._resume = resume
        self.restart()

    def text(self) -> bytes:
        """Everything read so far."""
        return b"".join(chunk.data for chunk in self.chunks)

    def has_read(self, path: Path) -> bool:
        """Whether it has read some of the file that is at a path now, or does not know that file."""
        marks = self.source.position()["files"][str(path)]
        return all(mark["offset"] for mark in marks if mark["inode"] == path.stat().st_ino)

    def _opened(self) -> Source:
        source = open_source(self._spec, self._resume, self._start, lambda: self.now_ms)
        if self._resume is None:
            self._resume = source.position()
        return source


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log file with one line."""
    path = tmp_path / "auth.log"
    path.write_bytes(b"one\n")
    return path


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Makes followers, and closes them."""
    made: list[Follower] = []

    def make(spec: str, start: StartPosition | None = None) -> Follower:
        made.append(Follower(spec, start))
        return made[-1]

    yield make
    for follower in made:
        follower.source.close()


@pytest.fixture
def follower(log: Path, follow: Follow) -> Follower:
    """A follower of the log, from its beginning."""
    return follow(f"file:{log}")


def append(path: Path, data: bytes) -> None:
    """Append to a file as a logger does."""
    with path.open("ab") as stream:
        stream.write(data)


def test_lines_are_read_as_they_are_appended(log: Path, follower: Follower) -> None:
    """What is there is read, then what is appended, each with the offset of its first byte."""
    assert follower.drain() == b"one\n"
    append(log, b"two\nthree\n")
    assert follower.drain() == b"two\nthree\n"
    assert [chunk.start for chunk in follower.chunks] == [0, 4]


def test_half_a_last_line_waits_for_its_end(log: Path, follower: Follower) -> None:
    """A line without a newline is not read until it has one, across a restart too."""
    append(log, b"tw")
    assert follower.drain() == b"one\n"
    follower.restart()
    assert follower.drain() == b""
    append(log, b"o\n")
    assert follower.drain() == b"two\n"


def test_lines_are_live_once_the_end_was_reached(log: Path, follower: Follower) -> None:
    """The first lines are a backlog; those that come after the end was seen are live."""
    follower.drain()
    append(log, b"two\n")
    follower.drain()
    assert [chunk.live for chunk in follower.chunks] == [False, True]


def test_a_renamed_file_is_drained_before_the_new_one(log: Path, follower: Follower) -> None:
    """Lines written to the old file after its renaming come before those of the new one, none twice."""
    follower.drain()
    with log.open("ab") as logger:
        log.rename(log.with_name("auth.log.1"))
        logger.write(b"two\n")
        logger.flush()
        log.write_bytes(b"three\n")
        assert follower.drain() == b"two\nthree\n"
        follower.now_ms += LINGER_MS - 1
        assert follower.drain() == b""
        logger.write(b"late\n")
        logger.flush()
        assert follower.drain() == b"late\n"
    assert len({chunk.incarnation for chunk in follower.chunks}) == 2


def test_an_old_file_is_let_go_after_a_while(log: Path, follower: Follower) -> None:
    """Once the new file has data and the old one had none for LINGER_MS, the old one is closed."""
    follower.drain()
    log.rename(log.with_name("auth.log.1"))
    log.write_bytes(b"two\n")
    follower.drain()
    follower.now_ms += LINGER_MS
    follower.drain()
    append(log, b"three\n")
    follower.drain()
    assert len(follower.chunks[-1].resume["files"][str(log)]) == 1


def test_copytruncate_loses_nothing(log: Path, follower: Follower) -> None:
    """Lines that only the copy holds by now are read from the copy, then the file from its start."""
    follower.drain()
    append(log, b"two\n")
    shutil.copy(log, log.with_name("auth.log.1"))
    os.truncate(log, 0)
    append(log, b"three\n")
    assert follower.drain() == b"two\nthree\n"


def test_a_rewritten_file_longer_than_before_is_noticed(log: Path, follower: Follower) -> None:
    """A file truncated and filled past the old offset between two looks is read from its start."""
    follower.drain()
    log.write_bytes(b"another\ncontent\n")
    assert follower.drain() == b"another\ncontent\n"
    assert follower.chunks[0].incarnation != follower.chunks[1].incarnation


def test_a_rewritten_file_with_the_same_head_is_noticed(log: Path, follower: Follower) -> None:
    """A file that begins as before and goes on otherwise is told by the bytes before the old offset."""
    head = b"banner " * 100 + b"\n"
    append(log, head + b"two\n")
    follower.drain()
    log.write_bytes(b"one\n" + head + b"other\nmore\n")
    assert follower.drain() == b"one\n" + head + b"other\nmore\n"


def test_a_head_that_was_short_when_taken_still_tells(log: Path, follow: Follow) -> None:
    """The fingerprint of the first bytes grows with the file, so that a later change of them is seen."""
    log.write_bytes(b"a\n")
    follower = follow(f"file:{log}")
    follower.drain()
    append(log, b"b" * 300 + b"\n" + b"tail" * 30 + b"\n")
    follower.drain()
    follower.restart()
    log.write_bytes(b"a\n" + b"c" * 300 + b"\n" + b"tail" * 30 + b"\n" + b"more\n")
    assert follower.drain().startswith(b"a\nccc")


@pytest.mark.parametrize("style", ["rename", "copytruncate", "date"])
def test_a_rotation_while_down_loses_nothing(log: Path, follower: Follower, style: str) -> None:
    """After a restart the old file is found among its rotated siblings, finished, and the new one follows."""
    follower.drain()
    append(log, b"two\n")
    old = log.with_name("auth.log-20261122" if style == "date" else "auth.log.1")
    if style == "copytruncate":
        shutil.copy(log, old)
        os.truncate(log, 0)
    else:
        log.rename(old)
    append(log, b"three\n")
    follower.restart()
    assert follower.drain() == b"two\nthree\n"


def test_two_rotations_while_down_lose_nothing(log: Path, follower: Follower) -> None:
    """The file that came and went while nobody looked is read between the old one and the new one."""
    follower.drain()
    append(log, b"two\n")
    log.rename(log.with_name("auth.log.2"))
    log.with_name("auth.log.1").write_bytes(b"three\n")
    log.write_bytes(b"four\n")
    follower.restart()
    assert follower.drain() == b"two\nthree\nfour\n"


def test_a_file_that_is_gone_is_said(log: Path, follower: Follower) -> None:
    """When the old file cannot be found again, the new one is read and the loss is a notice."""
    follower.drain()
    log.unlink()
    log.write_bytes(b"other\n")
    follower.restart()
    assert follower.drain() == b"other\n"
    assert follower.source.notices() == {f"{log}: {GONE}": 1}


def test_a_reused_inode_is_another_incarnation(log: Path, follower: Follower) -> None:
    """A new file under the old inode and name is told by its bytes, and gets a name of its own."""
    follower.drain()
    inode = log.stat().st_ino
    follower.source.close()
    log.unlink()
    log.write_bytes(b"two\n")
    if log.stat().st_ino != inode:
        pytest.skip("this file system did not give the inode again")
    follower.restart()
    assert follower.drain() == b"two\n"
    assert len({chunk.incarnation for chunk in follower.chunks}) == 2


def test_a_file_renamed_back_is_not_read_again(log: Path, follower: Follower) -> None:
    """A rotation that is taken back repeats nothing."""
    follower.drain()
    log.rename(log.with_name("auth.log.1"))
    log.write_bytes(b"two\n")
    follower.drain()
    log.with_name("auth.log.1").rename(log)
    append(log, b"three\n")
    assert follower.drain() == b"three\n"


def test_a_symlink_is_followed_where_it_points_now(tmp_path: Path, follow: Follow) -> None:
    """A symlink's file is read; when it points to another, that one is read from its start."""
    (tmp_path / "a").write_bytes(b"one\n")
    (tmp_path / "b").write_bytes(b"two\n")
    link = tmp_path / "current"
    link.symlink_to("a")
    follower = follow(f"file:{link}")
    assert follower.drain() == b"one\n"
    link.unlink()
    link.symlink_to("b")
    assert follower.drain() == b"two\n"
    append(tmp_path / "b", b"three\n")
    follower.restart()
    assert follower.drain() == b"three\n"


def test_a_loop_of_symlinks_is_said(tmp_path: Path, follow: Follow) -> None:
    """A path that leads nowhere is a notice, until it leads somewhere."""
    link = tmp_path / "current"
    link.symlink_to("current")
    follower = follow(f"file:{link}")
    assert follower.drain() == b""
    assert follower.source.notices() == {f"{link}: Too many levels of symbolic links": 1}
    link.unlink()
    link.write_bytes(b"one\n")
    assert follower.drain() == b"one\n"


def test_a_name_that_is_too_long_is_told_and_stops_nobody(tmp_path: Path, follow: Follow) -> None:
    """A path of as many characters as a name may have, with what stands before it, is read still."""
    most = NAME_CHARACTERS - len(f"file:{tmp_path}/.log")
    (tmp_path / f"{'b' * most}.log").write_bytes(b"one\n")
    (tmp_path / f"{'a' * (most + 1)}.log").write_bytes(b"no\n")
    follower = follow(f"file:{tmp_path}/*.log")
    assert follower.drain() == b"one\n"
    assert follower.source.notices() == {f"{tmp_path}/*.log: {UNNAMED}": 1}


def test_a_name_that_is_no_utf8_is_told_and_stops_nobody(tmp_path: Path, follow: Follow) -> None:
    """Whoever may write into a watched directory gives the names: one before the start, one after."""
    (tmp_path / "a.log").write_bytes(b"one\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.log")).write_bytes(b"no\n")
    follower = follow(f"file:{tmp_path}/*.log")
    assert follower.drain() == b"one\n"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/c\xfe.log")).write_bytes(b"no\n")
    append(tmp_path / "a.log", b"two\n")
    assert follower.drain() == b"two\n"
    assert follower.source.notices() == {f"{tmp_path}/*.log: {UNNAMED}": 2}
    follower.restart()
    append(tmp_path / "a.log", b"three\n")
    assert follower.drain() == b"three\n"


def test_a_file_goes_on_under_a_name_that_is_no_utf8(tmp_path: Path, follow: Follow) -> None:
    """A link to such a name, and its rotation: the position can be written, and the rest is found."""
    target = Path(os.fsdecode(os.fsencode(tmp_path) + b"/t\xff.log"))
    target.write_bytes(b"one\n")
    log = tmp_path / "auth.log"
    log.symlink_to(target)
    follower = follow(f"file:{log}")
    assert follower.drain() == b"one\n"
    orjson.dumps([follower.source.position(), follower.source.notices()])
    follower.restart()
    append(target, b"two\n")
    assert follower.drain() == b"two\n"
    rotated = target.rename(f"{target}.1")
    target.write_bytes(b"four\n")
    append(rotated, b"three\n")
    follower.restart()
    assert follower.drain() == b"three\nfour\n"
    orjson.dumps([follower.source.position(), follower.source.notices()])


def test_a_glob_takes_up_files_that_appear_later(tmp_path: Path, follow: Follow) -> None:
    """Each file of a glob has an id and an incarnation of its own; a later one is read from its start."""
    (tmp_path / "a.log").write_bytes(b"one\n")
    follower = follow(f"file:{tmp_path}/*.log", StartPosition("end"))
    assert follower.drain() == b""
    (tmp_path / "b.log").write_bytes(b"two\n")
    append(tmp_path / "a.log", b"three\n")
    (tmp_path / "c.txt").write_bytes(b"no\n")
    follower.drain()
    assert {(chunk.origin, chunk.data) for chunk in follower.chunks} == {
        (f"file:{tmp_path}/a.log", b"three\n"),
        (f"file:{tmp_path}/b.log", b"two\n"),
    }
    follower.restart()
    append(tmp_path / "b.log", b"four\n")
    assert follower.drain() == b"four\n"


def test_a_directory_that_does_not_exist_yet_is_waited_for(tmp_path: Path, follow: Follow) -> None:
    """The nearest directory that exists is watched, and the file is read as soon as it is there."""
    path = tmp_path / "not" / "yet" / "auth.log"
    follower = follow(f"file:{path}")
    assert follower.drain() == b""
    assert any("No such file" in notice for notice in follower.source.notices())
    path.parent.mkdir(parents=True)
    assert select.select(follower.source.filenos(), [], [], 10)[0]
    path.write_bytes(b"one\n")
    assert follower.drain() == b"one\n"
    assert follower.source.notices() == {}


def test_a_file_in_a_folder_that_a_glob_covers_wakes_the_reader(tmp_path: Path, follow: Follow) -> None:
    """In one that was there, and in one that came later."""
    (tmp_path / "a" / "log").mkdir(parents=True)
    follower = follow(f"file:{tmp_path}/*/log/*.log")
    assert follower.drain() == b""
    for name in ("a", "b"):
        (tmp_path / name / "log").mkdir(parents=True, exist_ok=True)
        follower.drain()
        (tmp_path / name / "log" / "x.log").write_bytes(b"one\n")
        assert select.select(follower.source.filenos(), [], [], 10)[0]
        assert follower.drain() == b"one\n"


def test_an_appended_line_wakes_the_reader(log: Path, follower: Follower) -> None:
    """The descriptor becomes readable when a line is appended, and not before."""
    follower.drain()
    assert not select.select(follower.source.filenos(), [], [], 0)[0]
    append(log, b"two\n")
    assert select.select(follower.source.filenos(), [], [], 10)[0]


def test_a_long_line_is_cut_and_the_rest_of_it_skipped(log: Path, follower: Follower) -> None:
    """Of a 10 MB line 1 MiB is kept, at bounded chunks, and counted; across a restart in its middle too."""
    append(log, b"x" * 5_000_000)
    follower.drain()
    follower.restart()
    append(log, b"x" * 5_000_000 + b"\nafter\n")
    follower.drain()
    assert follower.text() == b"one\n" + b"x" * LINE_LIMIT_BYTES + b"\nafter\n"
    assert max(len(chunk.data) for chunk in follower.chunks) <= LINE_LIMIT_BYTES + READ_BYTES
    assert follower.chunks[-1].start == 4 + 10_000_001


def test_a_cut_line_is_counted(log: Path, follower: Follower) -> None:
    """The notices say how many lines were cut."""
    append(log, b"x" * (LINE_LIMIT_BYTES + 1) + b"\n")
    follower.drain()
    assert follower.source.notices() == {f"{log}: {CUT}": 1}


def test_odd_bytes_pass_unchanged(log: Path, follower: Follower) -> None:
    """NUL, broken UTF-8 and empty lines are the filter's business, not the source's."""
    odd = b"\x00\xff\xfe\n\n\xc3\n"
    append(log, odd)
    assert follower.drain() == b"one\n" + odd


def test_what_is_no_file_is_said(tmp_path: Path, follow: Follow) -> None:
    """A directory or a pipe in the place of the file is a notice, not a hang."""
    os.mkfifo(tmp_path / "pipe")
    follower = follow(f"file:{tmp_path}/pipe")
    assert follower.drain() == b""
    assert follower.source.notices() == {f"{tmp_path}/pipe: not a regular file": 1}


def test_a_file_that_may_be_read_later_is(follow: Follow) -> None:
    """A file without permission is a notice; when the permission comes it is begun as if it were new."""
    with TemporaryDirectory() as directory, nobody(Path(directory)):
        log = Path(directory) / "auth.log"
        log.write_bytes(b"one\n")
        log.chmod(0)
        follower = follow(f"file:{log}", StartPosition("end"))
        assert follower.drain() == b""
        assert follower.source.notices() == {f"{log}: Permission denied": 1}
        log.chmod(0o600)
        append(log, b"two\n")
        assert follower.drain() == b""
        append(log, b"three\n")
        assert follower.drain() == b"three\n"


@contextmanager
def nobody(directory: Path) -> Iterator[None]:
    """Be somebody who may not read everything, in a directory of their own."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(directory, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_no_line_is_lost_or_repeated(tmp_path: Path, seed: int, follow: Follow) -> None:
    """Random appends, rotations of both kinds, reads and restarts: every line once, in its order.

    But for what nobody can see: a file of which not a byte was read before it was copied and truncated.
    """
    chance = random.Random(seed)
    log = tmp_path / "auth.log"
    log.write_bytes(b"")
    follower = follow(f"file:{log}")
    numbers = count()
    written: list[bytes] = []
    for _ in range(120):
        match chance.choice(("append", "append", "append", "read", "step", "restart", "rename", "copy")):
            case "append":
                lines = [b"%06d %s\n" % (next(numbers), b"x" * chance.randrange(90)) for _ in range(5)]
                written += lines
                append(log, b"".join(lines))
            case "read":
                follower.drain()
            case "step":
                follower.step()
            case "restart":
                follower.restart()
            case "rename":
                rotate(log, copy=False)
            case _:
                if not follower.has_read(log):
                    follower.drain()
                rotate(log, copy=True)
        follower.now_ms += chance.choice((10, LINGER_MS))
    follower.drain()
    assert follower.text() == b"".join(written)


def rotate(log: Path, *, copy: bool) -> None:
    """Rotate as logrotate does, keeping everything."""
    rotated = sorted(log.parent.glob("auth.log.*"), key=lambda path: int(path.suffix[1:]), reverse=True)
    for old in rotated:
        old.rename(log.with_name(f"auth.log.{int(old.suffix[1:]) + 1}"))
    if copy:
        shutil.copyfile(log, log.with_name("auth.log.1"))
        os.truncate(log, 0)
    else:
        log.rename(log.with_name("auth.log.1"))
        log.write_bytes(b"")


def test_files_take_turns(tmp_path: Path, follow: Follow) -> None:
    """A log with much to read leaves room for the others between its chunks."""
    (tmp_path / "a.log").write_bytes(b"x" * 50 + b"\n" * 10_000_000)
    (tmp_path / "b.log").write_bytes(b"one\n")
    follower = follow(f"file:{tmp_path}/*.log")
    follower.step()
    follower.step()
    assert b"one\n" in [chunk.data for chunk in follower.chunks]


def test_a_line_that_never_ends_is_skipped_bit_by_bit(log: Path, follower: Follower) -> None:
    """No call reads more of it than it may, and a hole is jumped over."""
    append(log, b"x" * 3_000_000)
    follower.drain()
    ends = [chunk.start for chunk in follower.chunks if not chunk.data]
    assert max(end - start for start, end in pairwise(ends)) <= READ_BYTES
    with log.open("ab") as stream:
        stream.truncate(300 << 30)
    before = len(follower.chunks)
    follower.drain()
    append(log, b"\ntwo\n")
    assert follower.drain() == b"two\n"
    assert len(follower.chunks) - before < 10


def test_a_link_to_a_strangers_file_is_refused_and_said(tmp_path: Path, follow: Follow) -> None:
    """Under a glob: a link is followed where root made it, or who owns what it leads to."""
    for name, owner in (("user", NOBODY), ("other", NOBODY - 1), ("roots", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own").write_bytes(f"{name}\n".encode())
        (tmp_path / name / "d.log").write_bytes(f"{name}'s log\n".encode())
        for path in (tmp_path / name / "own", tmp_path / name / "d.log", tmp_path / name):
            os.chown(path, owner, owner)
    for link, target, owner in (
        ("user/a.log", "../other/own", NOBODY),
        ("user/b.log", "own", NOBODY),
        ("user/c.log", "../roots/own", NOBODY),
        ("user/d.log.1", "../roots/own", NOBODY),
        ("roots/e.log", "../other/own", 0),
        ("linked", "other", NOBODY),
    ):
        (tmp_path / link).symlink_to(target)
        os.lchown(tmp_path / link, owner, owner)
    follower = follow(f"file:{tmp_path}/*/*.log")
    lines = [b"other", b"other's log", b"roots's log", b"user", b"user's log"]
    assert sorted(follower.drain().splitlines()) == lines
    assert follower.source.notices() == {f"{tmp_path}/*/*.log: {FOREIGN}": 3}


def test_a_name_that_is_too_long_or_a_folder_that_comes_and_goes_keeps_nothing_from_being_read(
    tmp_path: Path, follow: Follow
) -> None:
    """In a folder of a user's, under a glob of root's."""
    for folder in ("mine", "theirs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mine" / "a.log").write_bytes(b"one\n")
    follower = follow(f"file:{tmp_path}/*/*.log")
    assert follower.drain() == b"one\n"
    for name in ("logs", "x.log", "y.log"):
        (tmp_path / "theirs" / name).symlink_to("n" * 300)
    (tmp_path / "theirs" / "y.log.1").write_bytes(b"two\n")
    (tmp_path / "deep").symlink_to("n" * 300)
    append(tmp_path / "mine" / "a.log", b"three\n")
    assert sorted(follower.drain().splitlines()) == [b"three", b"two"]
    for number in range(9):
        (tmp_path / "theirs" / f"z{number}.log").symlink_to("n" * 300)
    again = follow(f"file:{tmp_path}/*/*.log")
    assert again.drain()
    assert again.source.notices() == {
        f"{tmp_path}/*/*.log: of several, {tmp_path}/theirs/x.log among them: {os.strerror(ENAMETOOLONG)}": 11
    }
    assert check_source(f"file:{tmp_path}/*/*.log") == []

    script = (
        f"import os\nwhile True: os.mkdir({str(tmp_path / 'gone')!r}); os.rmdir({str(tmp_path / 'gone')!r})"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as racing:
        try:
            for _ in range(500):
                paths_of(f"{tmp_path}/**/*.log")
                Folders(f"{tmp_path}/*/*.log").look([], {})
        finally:
            racing.kill()


def test_a_link_put_where_a_log_was_read_is_not_followed(tmp_path: Path, follow: Follow) -> None:
    """While it is followed, and after a restart."""
    folder, log = tmp_path / "user", tmp_path / "user" / "a.log"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret\n")
    log.write_bytes(b"one\n")
    for path in (folder, log):
        os.chown(path, NOBODY, NOBODY)
    follower = follow(f"file:{tmp_path}/*/*.log")
    assert follower.drain() == b"one\n"
    log.rename(folder / "aside")
    log.symlink_to(tmp_path / "secret")
    os.lchown(log, NOBODY, NOBODY)
    assert follower.drain() == b""
    assert follower.source.notices()[f"{tmp_path}/*/*.log: {FOREIGN}"] == 1
    follower.restart()
    assert follower.drain() == b""


def test_nothing_that_cannot_be_read_makes_each_read_a_look(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory, an archive that was read, damaged ones that together are more than a look unpacks."""
    (tmp_path / "a.log").mkdir()
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(b"one\n"))
    for name in ("c.log.gz", "d.log.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"x\n" + b"\0" * (STEP_BYTES * 2))[:-9])
    follower = follow(f"file:{tmp_path}/*.log*")
    for _ in range(9):
        follower.now_ms += 20_000
        follower.drain()
    assert b"one\n" in follower.text()
    looks: list[object] = []
    monkeypatch.setattr(Folders, "look", lambda *given: looks.append(given))
    for _ in range(5):
        assert follower.source.read(READ_BYTES) is None
    assert looks == []


def test_of_many_deleted_files_the_last_stay_open(tmp_path: Path, follow: Follow) -> None:
    """Somebody may still write to them; whoever makes and removes thousands takes nobody's place."""
    follower = follow(f"file:{tmp_path}/*.log")
    follower.drain()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names alone
    for number in range(MOST_GONE + 20):
        (tmp_path / f"{number}.log").write_bytes(b"%d\n" % number)
    follower.drain()
    for number in range(MOST_GONE + 20):
        (tmp_path / f"{number}.log").unlink()
    follower.drain()
    assert len(os.listdir("/proc/self/fd")) - before == MOST_GONE  # noqa: PTH208 - the names alone


def test_a_folder_that_was_removed_and_made_again_is_watched_again(tmp_path: Path, follow: Follow) -> None:
    """It may well have the inode that it had."""
    folder = tmp_path / "a"
    folder.mkdir()
    follower = follow(f"file:{tmp_path}/*/*.log")
    assert follower.drain() == b""
    folder.rmdir()
    follower.drain()
    folder.mkdir()
    follower.drain()
    (folder / "x.log").write_bytes(b"one\n")
    assert select.select(follower.source.filenos(), [], [], 10)[0]
    assert follower.drain() == b"one\n"


def test_more_files_than_may_be_open_leave_room_for_the_others(tmp_path: Path, follow: Follow) -> None:
    """One folder has no more than its share, and what a process needs for the rest is never taken."""
    for folder in ("mine", "theirs"):
        (tmp_path / folder).mkdir()
    mine = tmp_path / "mine" / "a.log"
    mine.write_bytes(b"one\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        follower = follow(f"file:{tmp_path}/*/*.log")
        assert follower.drain() == b"one\n"
        for number in range(300):
            (tmp_path / "theirs" / f"{number}.log").write_bytes(b"x\n")
        assert follower.drain() == b"x\n" * 64
        mine.rename(tmp_path / "mine" / "a.log.1")
        mine.write_bytes(b"two\n")
        assert follower.drain() == b"two\n"
        assert follower.source.notices() == {f"{tmp_path}/*/*.log: {CROWDED}": 1}
        for more in range(20):
            (tmp_path / f"more{more}").mkdir()
            for number in range(20):
                (tmp_path / f"more{more}" / f"{number}.log").write_bytes(b"y\n")
        follower.drain()
        assert any(FULL in text for text in follower.source.notices())
        assert subprocess.run(["true"], check=False).returncode == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_compressed_files_hold_up_nobody(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look unpacks one step, however many there are: what was unpacked so far is gone on with."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    follower = follow(f"file:{log}")
    assert follower.drain() == b"one\n"
    packed = gzip.compress(b"one\n" + b"\0" * (STEP_BYTES * 2))
    for number in range(30):
        (tmp_path / f"a.log.{number + 1}.gz").write_bytes(packed)
    append(log, b"two\n")
    follower.now_ms += 20_000
    unpacked: list[int] = []

    class Counted(Gunzip):
        def decompress(self, data: bytes, max_length: int = -1) -> bytes:
            found = super().decompress(data, max_length)
            unpacked.append(len(found))
            return found

    monkeypatch.setitem(MAGIC, b"\x1f\x8b", Counted)
    follower.step()
    assert STEP_BYTES <= sum(unpacked) <= 3 * STEP_BYTES
    follower.drain()
    assert follower.text().splitlines().count(b"two") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2026-11-22T07:00:00+00:00 web sshd[1]: x\n", True),
        ("no time at all\n", True),
        ("2026-11-22T08:59:30+00:00 web sshd[1]: x\n", False),
    ],
)
def test_recent_lines_that_are_passed_over_are_said(tmp_path: Path, line: str, said: bool) -> None:  # noqa: FBT001
    """A log of another zone, or without times, is begun at its end: silence would look like peace."""
    now_ms = 1_795_338_000_000
    path = tmp_path / "log"
    path.write_text(line, encoding="ascii")
    os.utime(path, (now_ms / 1_000, now_ms / 1_000))
    source = open_source(f"file:{path}", None, StartPosition("recent", 600_000), lambda: now_ms)
    assert any("was passed over" in text for text in source.notices()) == said
    source.close()
