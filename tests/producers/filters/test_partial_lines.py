"""PartialLines lines of containers: no client can have a piece of his own line read as a line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.contract import LINE_LIMIT_BYTES
from producers.filters import load_filter
from producers.filters.native.definition import parse_definition
from producers.filters.native.filter import NativeFilter
from producers.filters.native.matcher import NativeMatcher, NativeRules
from producers.filters.partial_lines import PartialLines
from producers.filters.plan import Plan
from producers.filters.rows import IP
from producers.filters.samples import CLOCK
from producers.stamps import Stamps

Runtime = Callable[..., list[str]]
STAMP = "2026-11-22T09:00:00.123456789Z"
PIECE = 16_384
TRUE, FOREIGN = "192.0.2.7", "203.0.113.9"
RULES = NativeRules(
    parse_definition("x", "bare = true\n[[failed]]\nline = '.*login of .* from {ip}'", "x.toml")
)


def docker(text: str, stream: str = "stdout") -> list[str]:
    """What Docker's json-file holds of a line: pieces of 16 KiB, the last with the newline."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    pieces[-1] += "\n"
    return [orjson.dumps({"log": each, "stream": stream, "time": STAMP}).decode() for each in pieces]


def containerd(text: str, stream: str = "stdout") -> list[str]:
    """The same of containerd."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    return [f"{STAMP} {stream} {'F' if each is pieces[-1] else 'P'} {each}" for each in pieces]


def lines(*texts: str) -> bytes:
    """Lines as a source gives them."""
    return "".join(f"{text[:LINE_LIMIT_BYTES]}\n" for text in texts).encode()


def addresses(*buffers: bytes) -> list[str]:
    """Whom a filter's events in buffers of one stream are of: by itself, and the same within a plan."""
    one = NativeMatcher(RULES, Stamps(UTC))
    found = [str(row[IP]) for data in buffers for row in one.scan(data, CLOCK)]
    other = load_filter("vnc")
    assert isinstance(other, NativeFilter)
    plan = Plan([Ruled(), other])
    assert [row[IP] for data in buffers for row in plan.scan(data, CLOCK)[0]] == found
    return found


class Ruled(NativeFilter):
    """The rules above as a filter."""

    def __init__(self) -> None:
        super().__init__(RULES.definition, "", "x.toml")

    def matcher(self, stamps: Stamps | None = None) -> NativeMatcher:
        """In UTC."""
        return NativeMatcher(RULES, stamps or Stamps(UTC))


FORGED = f"login of x from {FOREIGN}"
HEAD = "login of "
SPLIT = [
    HEAD + "a" * (PIECE - len(HEAD)) + FORGED,
    HEAD + "a" * (PIECE - len(HEAD) - len(FORGED) - 1) + " " + FORGED + f" from {TRUE}",
    HEAD + "a" * (PIECE - len(HEAD) - 2) + "\\n" + FORGED,
    HEAD + "a" * (PIECE - len(HEAD) - 1) + "\\" + FORGED,
    HEAD + "a" * (2 * PIECE - len(HEAD)) + FORGED,
    HEAD + "\x1b" * (PIECE - len(HEAD)) + FORGED,
]


@pytest.mark.parametrize("text", SPLIT, ids=range(len(SPLIT)))
@pytest.mark.parametrize("runtime", [docker, containerd])
def test_a_piece_of_a_torn_line_is_not_read(runtime: Runtime, text: str) -> None:
    """Whatever it begins or ends with, wherever the buffer is cut; the lines before and after are read."""
    pieces = runtime(text)
    before, after = runtime(f"login of a from {TRUE}"), runtime(f"login of b from {TRUE}")
    assert addresses(lines(*before, *pieces, *after)) == [TRUE, TRUE]
    assert addresses(*map(lines, (*before, *pieces, *after))) == [TRUE, TRUE]


@pytest.mark.parametrize("runtime", [docker, containerd])
def test_the_streams_of_a_container_are_torn_apart(runtime: Runtime) -> None:
    """Between the pieces of one there may be whole lines of the other, which are read, and its pieces."""
    out = runtime(SPLIT[0])
    err = runtime(SPLIT[4], "stderr")
    whole = runtime(f"login of a from {TRUE}", "stderr")
    mixed = (*whole, out[0], *whole, err[0], err[1], out[1], err[2], *whole)
    assert addresses(lines(*mixed)) == [TRUE] * 3
    assert addresses(*map(lines, mixed)) == [TRUE] * 3


def test_a_piece_that_its_source_has_cut_is_still_one() -> None:
    """A runtime that tears later, escaped: more than a line may have. The piece behind it is not read."""
    pieces = [docked("\x1b" * 200_000, "stdout"), docked(f"{FORGED}\n", "stdout")]
    assert len(pieces[0]) > LINE_LIMIT_BYTES
    assert addresses(lines(*pieces, *docker(f"login of a from {TRUE}"))) == [TRUE]


def test_a_line_that_its_source_has_cut_is_not_read() -> None:
    """A client who fills it to the limit would choose how it ends."""
    text = "a" * (LINE_LIMIT_BYTES - len(FORGED) - 1) + " " + FORGED + f" from {TRUE}"
    assert addresses(lines(text, text[1:], f"login of a from {TRUE}")) == [TRUE]
    assert addresses(lines(text[-2_000:])) == [TRUE]


@pytest.mark.parametrize("runtime", [docker, containerd])
def test_code_of_its_own_reads_no_pieces_either(runtime: Runtime) -> None:
    """The engine of sshd, which reads plain lines."""
    head = "Nov 22 09:00:00 web sshd[9]: "
    text = (head + "x").ljust(PIECE, "a") + f"{head}Failed password for root from {FOREIGN} port 5 ssh2"
    whole = runtime(f"{head}Failed password for root from {TRUE} port 5 ssh2")
    matcher = load_filter("sshd").matcher()
    assert [row[IP] for row in matcher.scan(lines(*runtime(text), *whole), CLOCK)] == [TRUE]


def test_dockers_journald_driver_says_itself_what_is_a_piece() -> None:
    """By the entry's fields (`daemon/logger/journald`)."""
    entry = {"MESSAGE": f"login of x from {FOREIGN}", "__REALTIME_TIMESTAMP": "1795338000000000"}
    marked = [entry | {"CONTAINER_PARTIAL_MESSAGE": "true"}, entry | {"CONTAINER_PARTIAL_ID": "ab"}]
    assert addresses(lines(*(orjson.dumps(each).decode() for each in marked))) == []
    assert addresses(lines(orjson.dumps(entry).decode())) == [FOREIGN]


def docked(text: str, stream: str) -> str:
    """One line of Docker's, with the newline that it may have."""
    return orjson.dumps({"log": text, "stream": stream, "time": STAMP}).decode()


STREAMS = ("stdout", "stderr")
TEXTS = ("x\n", "x", "x\\n", "x\\n\n", '","stream":"stdout"\n', "")
ONE_LOG = {
    "docker": [docked(text, stream) for text in TEXTS for stream in STREAMS]
    + ['{"log":"cut', '{"log":"its own","level":"x","time":"y"}'],
    "containerd": [f"{STAMP} {stream} {flag} x stdout P" for stream in STREAMS for flag in "FP"],
}


@given(st.sampled_from(list(ONE_LOG)), st.data())
@settings(deadline=None, max_examples=300)
def test_where_the_stream_is_cut_makes_no_difference(runtime: str, data: st.DataObject) -> None:
    """The same lines are pieces, in one buffer or in two."""
    written = data.draw(st.lists(st.sampled_from(ONE_LOG[runtime]), max_size=12))
    cut = data.draw(st.integers(0, len(written)))
    one, whole = PartialLines(), PartialLines()
    first, second = lines(*written[:cut]), lines(*written[cut:])
    found = [*sorted(one.starts(first)), *sorted(at + len(first) for at in one.starts(second))]
    assert found == sorted(whole.starts(first + second))
