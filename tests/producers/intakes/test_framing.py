"""Messages are the same however a stream is framed and cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.intakes.framing import MESSAGE_LIMIT_BYTES, Framing

TEXTS = st.binary(max_size=60).map(lambda text: text.replace(b"\0", b"").rstrip(b"\r\n"))
MESSAGES = st.lists(st.tuples(st.booleans(), TEXTS), max_size=8)


@given(MESSAGES, st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_both_framings_may_be_mixed_and_cut_anywhere(
    messages: list[tuple[bool, bytes]], sizes: list[int]
) -> None:
    """A newline within a counted message begins no line: what a client wrote stays in its message."""
    stream, wanted = b"", []
    for counted, text in messages:
        message = b"<38>" + text
        if counted:
            stream += b"%d %s" % (len(message), message)
            wanted.append(message.replace(b"\n", b"#012"))
        else:
            message = message.replace(b"\n", b" ")
            stream += message + b"\n"
            wanted.append(message)
    framing, found, count, at, turn = Framing(), b"", 0, 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        lines = framing.take(stream[at : at + size])
        found, count, at, turn = found + lines.data, count + lines.number, at + size, turn + 1
    assert found == b"".join(each + b"\n" for each in wanted)
    assert count == len(messages)
    assert not framing.unfinished


@given(st.booleans(), st.integers(1, 3 * MESSAGE_LIMIT_BYTES), st.integers(1_000, 50_000))
def test_what_is_too_long_is_cut_and_the_next_is_whole(counted: bool, length: int, size: int) -> None:  # noqa: FBT001 - given
    """And no more than one message is held meanwhile."""
    message = b"<38>" + b"x" * length
    stream = b"%d %s" % (len(message), message) if counted else message + b"\n"
    stream += b"<38>next\n"
    framing, found, cut = Framing(), b"", 0
    for at in range(0, len(stream), size):
        lines = framing.take(stream[at : at + size])
        found, cut = found + lines.data, cut + lines.cut
    first, second, rest = found.split(b"\n")
    assert (second, rest) == (b"<38>next", b"")
    assert message.startswith(first)
    assert cut == (len(message) > MESSAGE_LIMIT_BYTES) or (not counted and first == message)
