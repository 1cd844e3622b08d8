"""A login attempt counts once, whatever sshd and PAM log about it."""

from __future__ import annotations

import json

import pytest

from producers.filters import load_filter
from producers.filters.connections import LIMIT
from producers.stamps import LineClock
from schemas.errors import InvalidMessage

CLOCK = LineClock(1_795_338_000_000, "offline")
A = "192.0.2.7 port 4000"
PAM = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7 "
SESSIONS: dict[str, list[tuple[str, str | None]]] = {
    "three passwords": [
        (f"{PAM} user=root", "probed"),
        (f"Failed password for root from {A} ssh2", "failed"),
        (f"Failed password for root from {A} ssh2", "failed"),
        (f"Failed password for root from {A} ssh2", "failed"),
        (f"Connection closed by authenticating user root {A} [preauth]", "probed"),
        (
            "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7 ",
            "probed",
        ),
    ],
    "six passwords and out": [
        *[(f"Failed password for root from {A} ssh2", "failed")] * 6,
        (f"error: maximum authentication attempts exceeded for root from {A} ssh2 [preauth]", "probed"),
        (f"Disconnecting authenticating user root {A}: Too many authentication failures [preauth]", "probed"),
    ],
    "an invalid user": [
        (f"Invalid user x from {A}", "failed"),
        (f"Failed none for invalid user x from {A} ssh2", "probed"),
        (PAM, "probed"),
        (f"Failed password for invalid user x from {A} ssh2", "probed"),
        (f"Received disconnect from {A}:11: Bye Bye [preauth]", "probed"),
        (f"Disconnected from invalid user x {A} [preauth]", "probed"),
    ],
    "an invalid user, twice": [
        (f"Invalid user x from {A}", "failed"),
        (f"Failed password for invalid user x from {A} ssh2", "probed"),
        (f"Failed password for invalid user x from {A} ssh2", "failed"),
    ],
    "a key-only server": [(f"Connection closed by authenticating user root {A} [preauth]", "failed")],
    "an agent's keys": [
        (f"Failed publickey for root from {A} ssh2: RSA SHA256:a", "probed"),
        (f"Failed publickey for root from {A} ssh2: ED25519 SHA256:b", "probed"),
        (f"Connection closed by authenticating user root {A} [preauth]", "failed"),
    ],
    "PAM's own dialogue": [
        ("error: PAM: Authentication failure for root from 192.0.2.7", "failed"),
        (f"Failed keyboard-interactive/pam for root from {A} ssh2", "probed"),
        ("error: PAM: Authentication failure for root from 192.0.2.7", "failed"),
        (f"Failed keyboard-interactive/pam for root from {A} ssh2", "probed"),
        (f"Connection closed by authenticating user root {A} [preauth]", "probed"),
    ],
    "a user who may not": [
        ("User bob from 192.0.2.7 not allowed because listed in DenyUsers", "failed"),
        (f"Failed password for invalid user bob from {A} ssh2", "probed"),
        (f"Connection closed by invalid user bob {A} [preauth]", "probed"),
    ],
    "a typing error, then in": [
        (f"Failed password for alice from {A} ssh2", "failed"),
        (f"Accepted password for alice from {A} ssh2", "succeeded"),
        (f"Connection closed by {A}", None),
    ],
    "in, then guesses from the same port": [
        (f"Accepted publickey for git from {A} ssh2: ED25519 SHA256:x", "succeeded"),
        (f"Failed password for root from {A} ssh2", "failed"),
        (f"Failed password for root from {A} ssh2", "failed"),
        (f"Connection closed by authenticating user root {A} [preauth]", "probed"),
        (f"Connection closed by authenticating user root {A} [preauth]", "failed"),
        (f"Accepted publickey for git from {A} ssh2: ED25519 SHA256:x", "succeeded"),
        (f"Invalid user x from {A}", "failed"),
        (f"Accepted publickey for git from {A} ssh2: ED25519 SHA256:x", "succeeded"),
        (f"Connection closed by authenticating user root {A} [preauth]", "failed"),
    ],
    "in and out, then looked at": [
        (f"Accepted password for alice from {A} ssh2", "succeeded"),
        (f"Received disconnect from {A}:11: disconnected by user", None),
        (f"Connection closed by {A}", None),
        (f"Connection closed by {A}", "probed"),
    ],
    "in, another looks in, out": [
        (f"Accepted password for alice from {A} ssh2", "succeeded"),
        (f"{PAM.replace('192.0.2.7', '198.51.100.8')} user=root", "probed"),
        (f"Connection closed by {A}", None),
    ],
    "a health check": [(f"Connection closed by {A}", "probed")],
    "another port is another connection": [
        (f"Failed password for root from {A} ssh2", "failed"),
        ("Failed password for root from 192.0.2.7 port 4001 ssh2", "failed"),
        ("Connection closed by authenticating user root 192.0.2.7 port 4001 [preauth]", "probed"),
    ],
    "a process id again": [
        (f"Connection closed by authenticating user root {A} [preauth]", "failed"),
        (f"Connection closed by authenticating user root {A} [preauth]", "failed"),
    ],
}


def line(message: str, pid: int = 4711) -> bytes:
    """A line of sshd."""
    return f"Nov 22 09:00:00 web sshd[{pid}]: {message}\n".encode()


@pytest.mark.parametrize("name", SESSIONS)
def test_a_connection_counts_its_attempts(name: str) -> None:
    """Each line of a connection is the kind the table says."""
    matcher = load_filter("sshd").matcher()
    kinds: list[str | None] = []
    for message, _ in SESSIONS[name]:
        rows = matcher.scan(line(message), CLOCK)
        kinds += [row[0] for row in rows] or [None]
    assert kinds == [kind for _, kind in SESSIONS[name]]


@pytest.mark.parametrize("name", SESSIONS)
def test_a_saved_matcher_goes_on_as_if_nothing_happened(name: str) -> None:
    """Saved as JSON and loaded by another after every line, the kinds are the same."""
    kinds: list[str | None] = []
    saved = json.loads(json.dumps(load_filter("sshd").matcher().save()))
    for message, _ in SESSIONS[name]:
        matcher = load_filter("sshd").matcher()
        matcher.load(saved)
        kinds += [row[0] for row in matcher.scan(line(message), CLOCK)] or [None]
        saved = json.loads(json.dumps(matcher.save()))
    assert kinds == [kind for _, kind in SESSIONS[name]]


def test_two_connections_at_once_do_not_mix() -> None:
    """Lines of two processes, interleaved, count for each alone."""
    matcher = load_filter("sshd").matcher()
    data = b"".join(
        line(message, pid)
        for message in (f"Invalid user x from {A}", f"Failed password for invalid user x from {A} ssh2")
        for pid in (1, 2)
    )
    assert [row[0] for row in matcher.scan(data, CLOCK)] == ["failed", "failed", "probed", "probed"]


def test_what_is_remembered_is_bounded() -> None:
    """Connections that never close are forgotten, the oldest first, past two generations."""
    matcher = load_filter("sshd").matcher()
    for pid in range(5 * LIMIT):
        matcher.scan(line(f"Failed password for root from {A} ssh2", pid), CLOCK)
    saved = matcher.save()
    assert LIMIT <= len(saved["young"]) + len(saved["old"]) <= 2 * LIMIT
    pids = (5 * LIMIT - 1, 4 * LIMIT - 1, 1)
    closed = (line(f"Connection closed by authenticating user root {A} [preauth]", pid) for pid in pids)
    rows = matcher.scan(b"".join(closed), CLOCK)
    assert [row[0] for row in rows] == ["probed", "probed", "failed"]


def test_a_closed_connection_is_forgotten() -> None:
    """What closed is not kept: a quiet server's state is small."""
    matcher = load_filter("sshd").matcher()
    for message, _ in SESSIONS["an invalid user"]:
        matcher.scan(line(message), CLOCK)
    assert matcher.save()["young"] == []


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"young": 1, "old": [], "done": []},
        {"young": [[]], "old": [], "done": []},
        {"young": [["k", None, "a", "a", None, None, "x"]], "old": [], "done": []},
        {"young": [], "old": [], "done": [], "headed": 3},
    ],
)
def test_a_broken_state_is_refused(saved: dict[str, object]) -> None:
    """What is no state is an InvalidMessage, nothing else."""
    with pytest.raises(InvalidMessage):
        load_filter("sshd").matcher().load(saved)


def headless(*messages: str) -> list[str]:
    """The kinds of lines of a container's sshd, which have no process id."""
    lines = [f"2026-11-22T09:00:00.123456789Z stderr F {message}\n" for message in messages]
    return [row[0] for row in load_filter("sshd").matcher().scan("".join(lines).encode(), CLOCK)]


def test_whoever_has_an_account_may_not_guess_from_its_port() -> None:
    """Without process ids the peer is all there is, and he chooses his port: each of his attempts counts."""
    came = (f"Accepted publickey for git from {A} ssh2", f"Disconnected from user git {A}")
    round_ = (
        *[f"Failed password for root from {A} ssh2"] * 6,
        f"Connection closed by authenticating user root {A} [preauth]",
    )
    assert headless(*came, *round_ * 20) == ["succeeded", *(["failed"] * 6 + ["probed"]) * 20]
    assert headless(came[0], *round_ * 20) == ["succeeded", *(["failed"] * 6 + ["probed"]) * 20]
    assert headless(*came, f"Connection closed by {A}") == ["succeeded", "probed"]


def test_a_success_grows_old() -> None:
    """A day after it, how a connection closes is of another one; over a restart as well."""
    lines = (
        f"Nov 20 09:00:00 web sshd[1]: Accepted password for alice from {A} ssh2\n",
        f"Nov 20 19:00:00 web sshd[1]: Received disconnect from {A}:11: x [preauth]\n",
        f"Nov 21 10:00:00 web sshd[1]: Received disconnect from {A}:11: x [preauth]\n",
    )
    kinds = []
    matcher = load_filter("sshd").matcher()
    for each in lines:
        kinds += [row[0] for row in matcher.scan(each.encode(), CLOCK)]
        saved = json.loads(json.dumps(matcher.save()))
        matcher = load_filter("sshd").matcher()
        matcher.load(saved)
    assert kinds == ["succeeded", "probed"]
