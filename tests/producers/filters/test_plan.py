"""The plan on whole buffers gives exactly what a plain reading line by line gives."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.filters import EventRow, candidates, load_filter, sshd_matcher
from producers.filters.candidates import finder_of
from producers.filters.connections import ALWAYS, PROBE, SUCCESS, address_of
from producers.filters.entries import unwrap
from producers.filters.native.filter import read_filter
from producers.filters.sshd import HEADER, METHOD, NEEDLES, PEER, PROGRAMS, RARES, STEPS
from producers.filters.sshd_matcher import SshdMatcher
from producers.filters.times import plain_time
from producers.library import LIBRARY
from producers.stamps import LineClock, Stamps

CLOCK = LineClock(1_795_338_000_000, "backlog")
SAMPLES = read_filter(LIBRARY / "sshd.toml", "sshd").samples
MESSAGES = [sample.text for sample in SAMPLES if not sample.whole]
HEADERS = (
    "Nov 22 09:00:00 web sshd[{}]: ",
    "Nov 22 09:00:01 db sshd-session[{}]: ",
    "<38>1 2026-11-22T09:00:02.5Z web sshd {} - - ",
    "2026-11-22T09:00:03.123456+01:00 web sshd[{}]: ",
    "2026-11-22T09:00:03+00:00 web CRON[{}]: ",
    "Feb 30 09:00:00 web sshd[{}]: ",
)
WORDS = [re.compile(re.escape(words) + b"(.*)") for words in STEPS]
LOGIN = re.compile(
    rb"(Failed " + METHOD + rb" for (?:invalid user )?|Invalid user |Accepted " + METHOD + rb" for )"
    rb"(.{0,400}?) from (" + PEER + rb")(?: ssh2(?:: \S+ \S+)?)?"
)
LEAVE = re.compile(
    rb"((?:Connection (?:closed|reset) by|Disconnected from) (?:authenticating|invalid) user )"
    rb"(.{0,380}?) (" + PEER + rb") \[preauth\]"
)
BARE = re.compile(rb"(Connection (?:closed|reset) by )()(" + PEER + rb")(?: \[preauth\])?")
BYE = re.compile(
    rb"(Disconnected from |Received disconnect from )()(" + PEER + rb")(?::\d+: .*)? \[preauth\]"
)
PAM = re.compile(
    rb"(?:pam_[a-z0-9_]+\(sshd:auth\): authentication failure|PAM \d+ more authentication failures?);"
    rb" logname=\S* uid=\d+ euid=\d+ tty=\S* ruser=\S* rhost=(\S*) ?(?: user=(.{0,400}))?"
)
LEVEL = re.compile(rb"(?:error: |fatal: )?(.*?)\r?\n")


class PlainReader:
    """The rules read one line at a time, without any of the plan's means: the plan's measure."""

    def __init__(self) -> None:
        self.connections: dict[bytes, dict[str, Any]] = {}
        self.stamps = Stamps()
        self.stamps.begin(CLOCK)

    def scan(self, data: bytes) -> list[tuple[Any, ...]]:
        """(kind, at_ms, ip, start, user, port) of each event."""
        found, start = [], 0
        for line in data.split(b"\n")[:-1]:
            for time_, key, message in self.headed(line):
                body = LEVEL.fullmatch(message + b"\n")
                if body and (event := self.event(key, body[1])):
                    kind, ip, user, port = event
                    found.append((kind, self.stamps.read(time_)[0], ip, start, user, port))
            start += len(line) + 1
        return found

    @staticmethod
    def headed(line: bytes) -> list[tuple[bytes, bytes, bytes]]:
        """(time, key, message) of a line, as often as it was written."""
        if header := re.match(HEADER, line):
            return [(header[1], header[3], line[header.end() :])]
        entry = unwrap(line.rstrip(b"\r"))
        if entry.program not in PROGRAMS or not entry.pid:
            return []
        key = f"{entry.host or '-'} {entry.program.decode()}[{entry.pid.decode()}".encode()
        return [(plain_time(entry.time or entry.sent), key, entry.text)] * entry.times

    def event(self, key: bytes, message: bytes) -> tuple[Any, ...] | None:
        """(kind, ip, user, port) of a message."""
        said = self.said(message)
        if said is None or (ip := address_of(said[2])) is None:
            return None
        code, over, address, port, raw_user = said
        connection = self.connection(key, address, port, code)
        if over:
            self.connections.pop(key, None)
        counts = connection["counts"]
        counts[code] += 1
        number = 0 if code == PROBE else ALWAYS if code == SUCCESS else counts[code]
        before, connection["largest"] = connection["largest"], max(connection["largest"], number)
        if before == ALWAYS and code != SUCCESS:
            return None
        kind = "succeeded" if code == SUCCESS else "failed" if number > before else "probed"
        user = None if raw_user is None else raw_user.decode("utf-8", "replace")
        return kind, ip, user, port

    def connection(self, key: bytes, address: bytes, port: int | None, code: int) -> dict[str, Any]:
        """The connection a line belongs to: the process's last, unless address, port or a success say no.

        A probe begins none.
        """
        known = self.connections.get(key)
        ports = {port, known["port"]} if known else set()
        again = known is not None and known["largest"] == ALWAYS and code not in {PROBE, SUCCESS}
        if known is None or again or known["address"] != address or len(ports - {None}) > 1:
            known = {"address": address, "port": port, "counts": Counter(), "largest": 0}
            if code != PROBE:
                self.connections[key] = known
        known["port"] = known["port"] if port is None else port
        return known

    @staticmethod
    def said(message: bytes) -> tuple[int, bool, bytes, int | None, bytes | None] | None:
        """(class, over, address, port, user) of a message."""
        for shape in (LOGIN, LEAVE, BARE, BYE):
            if found := shape.fullmatch(message):
                code, over = STEPS[found[1]]
                address, port = found[3].split(b" port ")
                return code, over, address, int(port), found[2] if shape in (LOGIN, LEAVE) else None
        if found := PAM.fullmatch(message):
            return PROBE, False, found[1], None, found[2]
        for rare in RARES:
            if found := rare.text.fullmatch(message):
                parts = found.groupdict()
                if peer := parts.get("peer"):
                    address, port = peer.split(b" port ")
                    return rare.code, rare.over, address, int(port), parts.get("user")
                return rare.code, rare.over, parts["address"], None, parts.get("user")
        return None


def plain(rows: list[EventRow]) -> list[tuple[Any, ...]]:
    """Rows as the plain reader writes them."""
    return [(kind, at_ms, ip, start, user, port) for kind, at_ms, ip, start, _, user, port, *_ in rows]


@st.composite
def mutated(draw: st.DrawFn, text: bytes) -> bytes:
    """A line with some of its bytes changed, taken out or doubled."""
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from((b"", b" ", b"\x00", b"\xff", b"from ", b"]: ")))
            + text[at + 1 :]
        )
    return text.replace(b"\n", b"")


def line_of(header: str, pid: int, message: str, address: str, port: int) -> bytes:
    """A sample about another address and port."""
    message = re.sub(r"port \d{5}", f"port {port}", message.replace("192.0.2.7", address))
    return (header.format(pid) + message).encode()


lines = st.one_of(
    *[
        st.builds(
            line_of,
            st.sampled_from(HEADERS),
            st.integers(1, 2),
            st.sampled_from(MESSAGES),
            st.sampled_from(("192.0.2.7", "198.51.100.8", "::ffff:192.0.2.7")),
            st.integers(40_000, 40_001),
        )
    ]
    * 3,
    st.sampled_from(MESSAGES).map(lambda message: (HEADERS[0].format(1) + message).encode()).flatmap(mutated),
    st.sampled_from([sample.text for sample in SAMPLES if sample.whole]).map(str.encode),
    st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"")),
)
FIRST = b"Nov 22 09:00:00 web sshd[9]: Invalid user x from 192.0.2.7 port 5\n"
"""An event with a header comes first: from then on lines without one are nobody's."""
buffers = st.lists(lines, min_size=8, max_size=60).map(
    lambda found: FIRST + b"".join(line + b"\n" for line in found)
)


@given(buffers)
@settings(deadline=None, max_examples=300)
def test_the_plan_equals_the_plain_reading(data: bytes) -> None:
    """Random lines, samples and mutations of them: the rows are those of the rules line by line."""
    assert plain(load_filter("sshd").matcher().scan(data, CLOCK)) == PlainReader().scan(data)


@given(buffers, st.lists(st.integers(1, 60), max_size=6), st.booleans())
@settings(deadline=None, max_examples=300)
def test_how_a_stream_is_cut_and_searched_changes_nothing(
    data: bytes,
    cuts: list[int],
    sparse: bool,  # noqa: FBT001 - Hypothesis names it
) -> None:
    """In one buffer or many, by candidates or all lines, saved and loaded between: the same rows."""
    whole = load_filter("sshd").matcher().scan(data, CLOCK)
    parts = data.split(b"\n")[:-1]
    at, pieces, base = 0, [], 0
    rows: list[EventRow] = []
    for cut in [1, *sorted(cuts), len(parts)]:
        pieces.append(b"".join(part + b"\n" for part in parts[at:cut]))
        at = max(at, cut)
    matcher = SshdMatcher()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sshd_matcher, "is_sparse", lambda _data: sparse)
        for piece in pieces:
            rows += [(*row[:3], row[3] + base, row[4] + base, *row[5:]) for row in matcher.scan(piece, CLOCK)]
            base += len(piece)
            saved = json.loads(json.dumps(matcher.save()))
            matcher = SshdMatcher()
            matcher.load(saved)
    assert rows == whole


@pytest.fixture(params=["hyperscan", "without"])
def _finder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With hyperscan and without."""
    finder_of.cache_clear()
    if request.param == "without":
        monkeypatch.setattr(candidates, "hyperscan", None)
    yield
    finder_of.cache_clear()


@pytest.mark.usefixtures("_finder")
def test_every_sample_that_is_an_event_is_a_candidate() -> None:
    """The line of each event is found, under each header."""
    finder = finder_of((NEEDLES,))
    for message in MESSAGES:
        for header in HEADERS[:4]:
            line = (header.format(7) + message + "\n").encode()
            if load_filter("sshd").matcher().scan(line, CLOCK):
                assert list(finder.lines(b"nothing\n" + line)) == [8], message


@pytest.mark.usefixtures("_finder")
def test_candidates_are_found_in_order_once() -> None:
    """A line that holds several hits is one candidate; starts ascend."""
    hit = b"Nov 22 09:00:00 web sshd[9]: Failed sshd[9]: Failed sshd[9]: Failed x\n"
    data = b"nothing\n" + hit + b"\n" + hit
    assert list(finder_of((NEEDLES,)).lines(data)) == [8, 9 + len(hit)]


HEAD = b"Nov 22 09:00:00 web sshd[9]: "
EVIL = {
    "froms": HEAD + b"Failed password for " + b" from 1.2.3.4 port 5" * 3_000,
    "rhosts": HEAD + b"pam_unix(sshd:auth): authentication failure; logname=" + b"rhost= " * 9_000,
    "peers": HEAD + b"Disconnecting invalid user " + b"1.2.3.4 port 5: " * 4_000 + b" [preauth]",
    "keys": HEAD + b"Failed publickey for " + b"a from 1.2.3.4 port 5 ssh2: " * 2_000,
    "a name": HEAD + b"Invalid user " + b"f" * 60_000,
    "ends": HEAD + b"Connection closed by invalid user " + b"1.2.3.4 port 1 [preauth] " * 2_000,
    "backslashes": b"[" + b"\\" * 60_000,
    "data": b"<38>1 2026-11-22T09:00:00Z web sshd 9 - " + b"[a]" * 20_000,
}
MOST_S = 0.05
"""Of processor time: ten times what the slowest of these takes, and as much as other filters' lines may."""


@pytest.mark.parametrize("name", EVIL)
def test_no_line_takes_long(name: str) -> None:
    """A line of sshd has no bound in time, and needs none: the worst takes no longer than others may."""
    matcher, data = load_filter("sshd").matcher(), EVIL[name] + b"\n"
    matcher.scan(FIRST, CLOCK)
    spent = []
    for _ in range(3):
        began = time.process_time()
        matcher.scan(data, CLOCK)
        spent.append(time.process_time() - began)
    assert min(spent) < MOST_S
