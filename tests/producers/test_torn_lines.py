"""Lines that a container's runtime has torn: put together and read whole, or not read at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.memory import MemoryLog
from producers.contract import LINE_LIMIT_BYTES
from producers.filters import load_filter
from producers.offline import match_files
from producers.producer import Producer, WatchedSource
from producers.torn_lines import NOT_JOINED, HeldRoom, TornLines
from tests.producers.filters.test_partial_lines import PIECE, Runtime, containerd, docker
from tests.producers.test_producer import NOW_MS, abandon, drain, events, write

RUNTIMES = [docker, containerd]
FILTER = "bare = true\n[[failed]]\nline = 'login of .* from {ip}'\n"


def attempt(number: int, user: str = "") -> str:
    """A failed login; of a long name it is torn."""
    return f"login of {user or number} from 192.0.2.{number}"


@pytest.fixture
def app(tmp_path: Path) -> str:
    """The file of a filter for such lines."""
    (tmp_path / "app.toml").write_text(FILTER, encoding="utf-8")
    return f"{tmp_path}/app.toml"


def text(*lines: str) -> bytes:
    """Lines as bytes."""
    return "".join(f"{line}\n" for line in lines).encode()


def joined(torn: TornLines, data: bytes, start: int = 0) -> bytes:
    """What is handed on of some lines, without empty ones."""
    parts = torn.join("1", start, data)
    assert b"".join(lines for _, lines in parts).count(b"\n") == data.count(b"\n")
    return b"".join(lines for _, lines in parts if lines != b"\n")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 5 * PIECE, 40 * PIECE])
def test_the_pieces_of_a_line_are_put_together(runtime: Runtime, size: int) -> None:
    """The text is what the container wrote, at the position of the last piece."""
    pieces = runtime("x" * size)
    data = text(*runtime("before"), *pieces, *runtime("after"))
    parts = TornLines().join("1", 100, data)
    (found,) = (lines for _, lines in parts if b"x" in lines)
    line = next(each for each in found.splitlines() if b"x" in each)
    body = json.loads(line)["log"].rstrip("\n").encode() if runtime is docker else line.split(b" ", 3)[3]
    assert body == b"x" * size
    if len(pieces) > 1:
        (position,) = (position for position, lines in parts if b"x" in lines)
        assert position == 100 + len(text(*runtime("before"), *pieces[:-1]))


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_however_the_lines_are_cut_into_buffers(data: st.DataObject) -> None:
    """The lines of two streams, mixed, in buffers of any number of lines: the same comes out."""
    runtime: Callable[..., list[str]] = data.draw(st.sampled_from(RUNTIMES))
    queues = {
        stream: [
            piece
            for size in data.draw(st.lists(st.sampled_from((1, PIECE, 3 * PIECE)), max_size=3))
            for piece in runtime(stream[-1] * size, stream)
        ]
        for stream in ("stdout", "stderr")
    }
    mixed: list[str] = []
    while any(queues.values()):
        stream = data.draw(st.sampled_from([name for name in queues if queues[name]]))
        mixed.append(queues[stream].pop(0))
    written = text(*mixed)
    expected = joined(TornLines(), written)
    torn, found, at = TornLines(), b"", 0
    while mixed:
        count = data.draw(st.integers(1, len(mixed)))
        buffer, mixed = text(*mixed[:count]), mixed[count:]
        found += joined(torn, buffer, at)
        at += len(buffer)
        if data.draw(st.booleans()):
            saved, torn = torn.save(), TornLines()
            torn.load(saved, lambda _incarnation, start, length: written[start : start + length])
    assert found == expected
    assert torn.save() == {}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_line_of_which_a_piece_is_missing_is_not_read(runtime: Runtime) -> None:
    """After a restart the piece cannot be read again: what is behind it may begin with a client's words."""
    pieces = runtime("x" * 3 * PIECE)
    torn = TornLines()
    joined(torn, text(*pieces[:2]))
    again = TornLines()
    again.load(torn.save(), lambda _incarnation, _start, _length: b"")
    assert joined(again, text(pieces[2], *runtime("after"))) == text(*runtime("after"))
    assert again.notices() == {NOT_JOINED: 1}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_line_without_an_end_takes_bounded_room(runtime: Runtime) -> None:
    """A stream holds as much as a line may have, all together no more than their room."""
    room = HeldRoom(3 * LINE_LIMIT_BYTES)
    streams = [TornLines(room) for _ in range(8)]
    piece = runtime("x" * (PIECE + 1))[0]
    for torn in streams:
        for _ in range(100 if torn is streams[0] else 40):
            joined(torn, text(piece))
        assert room.left_bytes >= 0
    assert joined(streams[0], text(*runtime("x"), *runtime("after"))) == text(*runtime("after"))
    for torn in streams[1:]:
        joined(torn, text(*runtime("x")))
    assert room.left_bytes == 3 * LINE_LIMIT_BYTES


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_long_name_in_a_container_is_counted(runtime: Runtime, tmp_path: Path, app: str) -> None:
    """By `match` and by a producer: torn at 16 KiB it is one failure; the line number is the last piece's."""
    path = tmp_path / "log"
    long = attempt(2, "x" * 3 * PIECE)
    path.write_bytes(text(*runtime(attempt(1)), *runtime(long), *runtime(attempt(3))))
    batches = list(match_files([str(path)], [load_filter(app), load_filter("vnc")]))
    assert [row[2] for batch in batches for row in batch.rows[0]] == [f"192.0.2.{each}" for each in (1, 2, 3)]
    assert sum(batch.data.count(b"\n") for batch in batches) == path.read_bytes().count(b"\n")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("rotated", [False, True])
def test_a_restart_in_the_midst_of_a_line_loses_and_repeats_nothing(
    tmp_path: Path,
    app: str,
    runtime: Runtime,
    rotated: bool,  # noqa: FBT001
) -> None:
    """At each piece, with whole lines of the other stream in between; the file may be rotated meanwhile."""
    log, path = MemoryLog(), tmp_path / "log"
    watches = [WatchedSource(f"file:{path}", (app, "vnc"), start="beginning")]
    pieces = runtime(attempt(9, "x" * 3 * PIECE))
    path.touch()
    for number, piece in enumerate(pieces):
        producer = Producer(log, watches, lambda: NOW_MS)
        write(path, piece + "\n" + runtime(attempt(number + 1), "stderr")[0] + "\n")
        drain(producer)
        if number % 2:
            abandon(producer)
        else:
            producer.close()
        if rotated and number == 1:
            path.rename(tmp_path / "log.1")
            path.touch()
    found = events(log)
    assert [event.ip for event in found if "xx" in event.line] == ["192.0.2.9"]
    assert len(found) == len(pieces) + 1
    assert len({(event.incarnation, event.position) for event in found}) == len(found)


def test_behind_a_line_that_its_source_has_cut_no_piece_is_read() -> None:
    """Nobody knows of which stream it is, nor where it ends: either stream's next line is let be."""
    cut = b'{"log":"' + b"x" * (LINE_LIMIT_BYTES - 8)
    lines = [docker("from a client", stream)[0] for stream in ("stdout", "stderr")]
    torn = TornLines()
    joined(torn, text(*docker("before")) + cut + b"\n")
    assert joined(torn, text(*lines, *docker("after"))) == text(*docker("after"))
    assert torn.notices() == {NOT_JOINED: 2}
