"""The file source through whatever people and logrotate do to a log: each line once, in its order."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pytest

from producers.contract import StartPosition
from producers.sources.packed import DAMAGED
from producers.sources.tail import LINGER_MS
from tests.producers.sources.test_file import Follower, append

Make = Callable[..., Follower]
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
SPECS = ("auth.log", "auth*")


def lines(*numbers: int) -> bytes:
    """Lines that differ."""
    return b"".join(b"Nov 30 10:00:%02d web app[%d]: line\n" % (number % 60, number) for number in numbers)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log file, empty."""
    path = tmp_path / "auth.log"
    path.touch()
    return path


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Make]:
    """Makes followers of a glob in the folder, and closes them."""
    made: list[Follower] = []

    def make(spec: str = "auth.log", at: StartPosition | None = None) -> Follower:
        made.append(Follower(f"file:{tmp_path}/{spec}", at))
        return made[-1]

    yield make
    for each in made:
        each.source.close()


def beside(log: Path, suffix: str) -> Path:
    """A name that rotation gives."""
    return log.with_name(log.name + suffix)


def pack(path: Path, kind: str) -> None:
    """Compress a file as its tool does: under another name, with the old time."""
    stat = path.stat()
    packed = path.with_name(f"{path.name}.{kind}")
    packed.write_bytes(PACKERS[kind](path.read_bytes()))
    os.utime(packed, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    path.unlink()


@pytest.mark.parametrize("spec", SPECS)
def test_a_glob_over_rotated_names_counts_nothing_twice(log: Path, follow: Make, spec: str) -> None:
    """A file that is renamed to another name of the same glob goes on as what it was."""
    append(log, lines(1, 2))
    follower = follow(spec)
    assert follower.drain() == lines(1, 2)
    log.rename(beside(log, ".1"))
    log.write_bytes(lines(3))
    assert follower.drain() == lines(3)
    append(beside(log, ".1"), lines(4))
    assert follower.drain() == lines(4)
    follower.restart()
    assert follower.drain() == b""
    assert {chunk.origin for chunk in follower.chunks} == {f"file:{log}"}
    assert len({chunk.incarnation for chunk in follower.chunks}) == 2


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    "names",
    [
        (".1", ".2", ".3"),
        ("-30-11-2026", "-01-12-2026", "-02-12-2026"),
        (".9", ".1", ".5"),
        (".old", ".0", "-1"),
    ],
)
def test_names_need_not_sort_by_age(log: Path, follow: Make, spec: str, names: tuple[str, ...]) -> None:
    """Numbers that grow, dates of any order, moves by hand; long after the first is let go."""
    follower = follow(spec)
    for number, name in enumerate(names):
        append(log, lines(number))
        assert follower.drain() == lines(number)
        log.rename(beside(log, name))
        append(log, lines(100 + number))
        assert follower.drain() == lines(100 + number)
        follower.now_ms += 2 * LINGER_MS
        assert follower.drain() == b""
    follower.restart()
    assert follower.drain() == b""


def test_what_lay_there_before_the_source_is_not_read(log: Path, follow: Make) -> None:
    """Old rotated files beside a named one, however they are renamed and compressed later."""
    beside(log, ".1").write_bytes(lines(1, 2))
    beside(log, ".2.gz").write_bytes(gzip.compress(lines(3)))
    follower = follow()
    beside(log, ".2.gz").rename(beside(log, ".3.gz"))
    beside(log, ".1").rename(beside(log, ".2"))
    assert follower.drain() == b""
    append(beside(log, ".2"), lines(5))
    follower.now_ms += 2 * LINGER_MS
    assert follower.drain() == b""
    pack(beside(log, ".2"), "gz")
    append(log, lines(4))
    follower.restart()
    assert follower.drain() == lines(4)


def test_an_old_file_that_is_moved_back_is_read_on(log: Path, follow: Make) -> None:
    """What was in it before the source was is not read, what is added is."""
    beside(log, ".1").write_bytes(lines(1))
    follower = follow()
    beside(log, ".1").rename(log)
    assert follower.drain() == b""
    append(log, lines(2))
    assert follower.drain() == lines(2)
    follower.restart()
    append(log, lines(3))
    assert follower.drain() == lines(3)


@pytest.mark.parametrize("way", ["sed", "cat", "mv", "sed with a backup"])
@pytest.mark.parametrize("size", [3, 5, 200])
def test_a_log_whose_head_is_cut_goes_on(log: Path, follow: Make, way: str, size: int) -> None:
    """Rewritten at each write, as a new file or in place: the lines that are left have been read."""
    follower = follow()
    for number in range(300, 300 + size):
        append(log, lines(number))
    follower.drain()
    for number in range(300 + size, 310 + size):
        append(log, lines(number))
        rest = b"".join(log.read_bytes().splitlines(keepends=True)[-size:])
        new = log.with_name("t")
        new.write_bytes(rest)
        if way == "cat":
            log.write_bytes(rest)
        else:
            if way == "sed with a backup":
                log.rename(beside(log, ".bak"))
            new.rename(log)
        if number % 3 == 0:
            follower.restart()
        follower.drain()
    assert follower.text() == lines(*range(300, 310 + size))


def test_a_cut_log_that_is_written_piece_by_piece_goes_on(log: Path, follow: Make) -> None:
    """Seen empty, and with its first lines alone, in the middle of being rewritten."""
    follower = follow()
    append(log, lines(1, 2, 3, 4, 5))
    follower.drain()
    os.truncate(log, 0)
    for number in (3, 4, 5, 6):
        assert follower.drain() == b""
        follower.restart()
        append(log, lines(number))
    assert follower.drain() == lines(6)


@pytest.mark.parametrize("head", [b"started\n", b""])
@pytest.mark.parametrize("way", ["rename", "truncate", "remove", "copytruncate"])
def test_nobody_keeps_lines_from_counting_by_repeating_them(
    log: Path, follow: Make, way: str, head: bytes
) -> None:
    """Lines without a time, the same before and after: whatever became of the old ones, the new ones count.

    But for a file that is emptied and filled with the very same bytes between two looks.
    """
    follower = follow()
    same = b"login failed for root from 203.0.113.9\n" * 3
    append(log, head + same)
    follower.drain()
    if way == "copytruncate":
        shutil.copy(log, beside(log, ".1"))
    if way == "rename":
        log.rename(beside(log, ".1"))
    if way == "remove":
        log.unlink()
    if way in {"truncate", "copytruncate"}:
        os.truncate(log, 0)
        follower.drain()
    append(log, same)
    assert follower.drain() == same


def test_a_rotated_log_that_begins_with_the_old_ones_end_is_new(log: Path, follow: Make) -> None:
    """A log without times, its last lines different from each other, and written again after a rename."""
    follower = follow()
    append(log, b"a\nb\nc\n")
    follower.drain()
    log.rename(beside(log, ".1"))
    log.write_bytes(b"a\nb\nc\n")
    assert follower.drain() == b"a\nb\nc\n"


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", list(PACKERS))
def test_what_was_compressed_while_down_is_read(log: Path, follow: Make, spec: str, kind: str) -> None:
    """The file that was being read goes on where it was left; those that came and went are read whole."""
    append(log, lines(1))
    follower = follow(spec)
    follower.drain()
    append(log, lines(2))
    for name, number in ((".2", 3), (".1", 4)):
        log.rename(beside(log, name))
        pack(beside(log, name), kind)
        log.write_bytes(lines(number))
        os.utime(log, ns=(0, log.stat().st_mtime_ns + 1_000_000 * number))
    follower.restart()
    assert follower.drain() == lines(2, 3, 4)
    follower.restart()
    assert follower.drain() == b""
    assert follower.chunks[1].start == len(lines(1))
    assert follower.chunks[1].incarnation == follower.chunks[0].incarnation


@pytest.mark.parametrize("spec", SPECS)
def test_half_a_compressed_file_is_not_read(log: Path, follow: Make, spec: str) -> None:
    """While it is being written it is damaged; when it is whole, what is new in it is read."""
    append(log, lines(1))
    follower = follow(spec)
    follower.drain()
    follower.source.close()
    data = gzip.compress(lines(*range(2, 200_000)))
    beside(log, ".1.gz").write_bytes(data[:-6])
    follower.restart()
    assert follower.drain() == b""
    assert any(DAMAGED in notice for notice in follower.source.notices())
    beside(log, ".1.gz").write_bytes(data)
    follower.now_ms += 2 * LINGER_MS
    assert follower.drain() == lines(*range(2, 200_000))
    assert not follower.source.notices()


@pytest.mark.parametrize("spec", SPECS)
def test_a_file_moved_across_file_systems_is_the_same(log: Path, follow: Make, spec: str) -> None:
    """A copy under a new inode, the original gone: it goes on where that one was left, while down too."""
    append(log, lines(1))
    follower = follow(spec)
    follower.drain()
    append(log, lines(2))
    shutil.copy2(log, beside(log, ".1"))
    log.unlink()
    log.write_bytes(lines(3))
    follower.restart()
    assert follower.drain() == lines(2, 3)


@pytest.mark.parametrize("spec", SPECS)
def test_a_copy_and_a_hard_link_are_not_read(log: Path, follow: Make, spec: str) -> None:
    """Made beside a log that goes on, half made, and after a restart."""
    append(log, lines(1, 2))
    follower = follow(spec)
    follower.drain()
    os.link(log, beside(log, ".3"))
    beside(log, ".2").write_bytes(lines(1))
    shutil.copy(log, beside(log, ".1"))
    assert follower.drain() == b""
    append(beside(log, ".2"), lines(2))
    append(log, lines(3))
    follower.now_ms += 2 * LINGER_MS
    follower.restart()
    assert follower.drain() == lines(3)


def test_a_position_of_the_former_version_is_understood(log: Path, follow: Make) -> None:
    """Which knew open files alone: it goes on there, and reads what was rotated since, and nothing older."""
    beside(log, ".3").write_bytes(lines(1))
    os.utime(beside(log, ".3"), ns=(0, 0))
    append(log, lines(2))
    follower = follow()
    follower.drain()
    mark = follower.source.position()["files"][str(log)][0]
    former = {name: mark[name] for name in mark if name != "lines"}
    former |= {"head": mark.get("head", ""), "last": mark.get("last", "")}
    append(log, lines(3))
    log.rename(beside(log, ".2"))
    beside(log, ".1").write_bytes(lines(4))
    os.utime(beside(log, ".1"), ns=(0, beside(log, ".2").stat().st_mtime_ns + 1))
    log.write_bytes(lines(5))
    follower.go_on_from({"serial_ms": 1, "files": {str(log): [former]}})
    assert follower.drain() == lines(3, 4, 5)


def test_two_sources_of_one_file_give_it_one_name(log: Path, follow: Make) -> None:
    """What both read has the same origin, incarnation and position, so that the decider takes it once."""
    append(log, lines(1))
    one, other = follow("auth.log"), follow("a*.log")
    other.now_ms += 5
    for number in (2, 3):
        log.rename(beside(log, f".{number}"))
        log.write_bytes(lines(number))
        one.drain()
        other.drain()
    named = [{(each.origin, each.incarnation, each.start) for each in both.chunks} for both in (one, other)]
    assert named[0] == named[1]
    assert len(named[0]) == 3


class Logger:
    """Somebody who writes a log, and does to it what people and logrotate do."""

    def __init__(self, folder: Path, seed: int, spec: str) -> None:
        self.log = folder / "auth.log"
        self.log.touch()
        self.chance = random.Random(seed)
        self.scheme = self.chance.choice(("shift", "grow", "date", "day first", "infix", "copytruncate"))
        self.follower = Follower(f"file:{folder}/{spec}")
        self.written: list[bytes] = []
        self._numbers = count()
        self._rotations = 0

    def append(self) -> None:
        """Write a few lines."""
        for number in (next(self._numbers) for _ in range(self.chance.randrange(1, 6))):
            self.written.append(b"%06d %s\n" % (number, b"x" * self.chance.randrange(90)))
            append(self.log, self.written[-1])

    def rotate(self) -> None:
        """By the scheme of this log; copytruncate not before something of the file was read."""
        self._rotations += 1
        day = date(2026, 11, 27) + timedelta(days=self._rotations)
        names = {
            "grow": f"auth.log.{self._rotations}",
            "date": f"auth.log-{day:%Y%m%d}",
            "day first": f"auth.log-{day:%d-%m-%Y}",
            "infix": f"auth-{day:%Y%m%d}.log",
        }
        if self.scheme in {"shift", "copytruncate"}:
            self._shift()
        new = self.log.with_name(names.get(self.scheme, "auth.log.1"))
        if self.scheme != "copytruncate":
            self.log.rename(new)
            self._perhaps_look()
            self.log.touch()
            return
        if not self.follower.has_read(self.log):
            self.follower.drain()
        shutil.copyfile(self.log, new)
        self._perhaps_look()
        os.truncate(self.log, 0)

    def compress(self) -> None:
        """A rotated file, at times half written when it is looked at."""
        for path in self._rotated():
            kind = self.chance.choice(list(PACKERS))
            path.with_name(f"{path.name}.{kind}").write_bytes(PACKERS[kind](path.read_bytes())[:-5])
            self._perhaps_look()
            pack(path, kind)

    def move(self) -> None:
        """A rotated file, to another inode."""
        for path in self._rotated():
            shutil.copy2(path, self.log.with_name("moving"))
            path.unlink()
            self._perhaps_look()
            self.log.with_name("moving").rename(path)

    def cut(self) -> None:
        """Take lines off the head that have been read; at times there are more at the end."""
        self.follower.drain()
        self.append()
        kept = self.log.read_bytes().splitlines(keepends=True)[self.chance.randrange(1, 3) :][-40:]
        if len(kept) < 10:
            return
        if self.chance.random() < 0.5:
            self.log.with_name("new").write_bytes(b"".join(kept))
            self.log.with_name("new").rename(self.log)
            return
        os.truncate(self.log, 0)
        self._perhaps_look()
        append(self.log, b"".join(kept[:3]))
        self._perhaps_look()
        append(self.log, b"".join(kept[3:]))

    def copy(self) -> None:
        """By hand, once."""
        if not self.log.with_name("auth.log.save").exists():
            self.follower.drain()
            shutil.copyfile(self.log, self.log.with_name("auth.log.save"))

    def read(self) -> None:
        """To the end."""
        self.follower.drain()

    def _perhaps_look(self) -> None:
        if self.chance.random() < 0.4:
            self.follower.step()

    def _rotated(self) -> list[Path]:
        """One rotated file that is not compressed, if there is one."""
        found = [path for path in self.log.parent.glob("auth*") if path.suffix[1:] not in PACKERS]
        others = [path for path in sorted(found) if path != self.log and path.suffix != ".save"]
        return [self.chance.choice(others)] if others else []

    def _shift(self) -> None:
        found = [path for path in self.log.parent.glob("auth.log.*") if path.suffix != ".save"]
        for path in sorted(found, key=lambda path: int(path.name.split(".")[2]), reverse=True):
            head, number, *rest = path.name.removeprefix("auth.").split(".")
            path.rename(path.with_name(".".join(("auth", head, str(int(number) + 1), *rest))))


DEEDS = (
    "append",
    "append",
    "append",
    "read",
    "step",
    "step",
    "restart",
    "rotate",
    "rotate",
    "compress",
    "move",
)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("seed", range(10))
def test_each_line_is_read_once_in_its_order(tmp_path: Path, seed: int, spec: str) -> None:
    """Whatever is done to a log, with looks and restarts at any moment in between.

    But for what nobody can see: lines that were written and removed between two looks, and a file of which
    nothing was read before it was copied and truncated.
    """
    logger = Logger(tmp_path, seed, spec)
    deeds = (*DEEDS, *(("cut", "copy") if seed % 2 else ("copy",)))
    for _ in range(80):
        deed = logger.chance.choice(deeds)
        getattr(logger if hasattr(logger, deed) else logger.follower, deed)()
        logger.follower.now_ms += logger.chance.choice((10, LINGER_MS))
    for _ in range(3):
        logger.follower.drain()
        logger.follower.now_ms += LINGER_MS
    logger.follower.source.close()
    assert logger.follower.text() == b"".join(logger.written)
