"""One entry, whatever way it comes: a file, the journal followed or exported, Docker, containerd, syslog."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from producers.filters import every_filter
from producers.filters.plan import Plan
from producers.filters.rows import AT_MS, HOST, IP, KIND, SKEWED, USER
from producers.sources.journald import render
from producers.stamps import LineClock

AT_US = 1_795_165_000_250_000
CLOCK = LineClock(AT_US // 1_000 + 3_600_000, "offline")
SURE = {"__CURSOR": "s=1", "_BOOT_ID": "0"}
JELLYFIN = (
    "[16:41:05] [INF] [79] Jellyfin.Server.Implementations.Users.UserManager: Authentication request for bob "
    "has been denied (IP: 192.0.2.1)."
)
GITEA = (
    "2026/11/20 08:15:01 routers/web/auth/auth.go:204:SignInPost() \x1b[36m[I]\x1b[0m Failed "
    "authentication attempt for \x1b[1mbob\x1b[0m from \x1b[1m192.0.2.1:57094\x1b[0m: "
    "user does not exist [uid: 0, name: bob]"
)
SSHD = "Failed password for bob from 192.0.2.1 port 22 ssh2"
DOVECOT = (
    "imap-login: Info: Disconnected (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, "
    "rip=192.0.2.1, lip=192.0.2.9"
)


def entry(message: str, **more: object) -> dict[str, Any]:
    """An entry of the journal."""
    return {
        "__REALTIME_TIMESTAMP": str(AT_US),
        "_HOSTNAME": "gate",
        "_PID": "4022",
        "MESSAGE": message,
        **SURE,
        **more,
    }


ENTRIES = {
    "a program": ("sshd", entry(SSHD, SYSLOG_IDENTIFIER="sshd")),
    "its bytes": ("sshd", entry(SSHD, SYSLOG_IDENTIFIER="sshd", MESSAGE=list(SSHD.encode()))),
    "without a host": ("sshd", entry(SSHD, SYSLOG_IDENTIFIER="sshd", _HOSTNAME=None)),
    "a kernel's, without a process": (
        "portscan",
        entry(
            "[UFW BLOCK] IN=eth0 OUT= MAC=00:11 SRC=192.0.2.1 DST=192.0.2.9 LEN=44 TOS=0x00 PREC=0x00 "
            "TTL=240 ID=1 PROTO=TCP SPT=40022 DPT=23 WINDOW=1024 RES=0x00 SYN URGP=0",
            SYSLOG_IDENTIFIER="kernel",
            _PID=None,
        ),
    ),
    "a container by its id": (
        "jellyfin",
        entry(JELLYFIN, SYSLOG_IDENTIFIER="3f2a1b4c5d6e", CONTAINER_NAME="jellyfin"),
    ),
    "a container by its service": (
        "jellyfin",
        entry(JELLYFIN, SYSLOG_IDENTIFIER="media-jellyfin-1", CONTAINER_NAME="media-jellyfin-1"),
    ),
    "a container by its tag": (
        "dovecot",
        entry(DOVECOT, SYSLOG_IDENTIFIER="dovecot", CONTAINER_TAG="dovecot", CONTAINER_ID="3f2a1b4c5d6e"),
    ),
    "a container by its image": (
        "dovecot",
        entry(
            DOVECOT,
            SYSLOG_IDENTIFIER="3f2a1b4c5d6e",
            CONTAINER_NAME="a b",
            IMAGE_NAME="docker.io/x/dovecot:2",
        ),
    ),
    "a container's sshd": ("sshd", entry(SSHD, SYSLOG_IDENTIFIER="3f2a1b4c5d6e", CONTAINER_NAME="git")),
    "colours": ("gitea", entry(GITEA, SYSLOG_IDENTIFIER="gitea")),
    "colours in bytes": ("gitea", entry(GITEA, SYSLOG_IDENTIFIER="gitea", MESSAGE=list(GITEA.encode()))),
    "colours in a container": (
        "gitea",
        entry(GITEA, SYSLOG_IDENTIFIER="3f2a1b4c5d6e", CONTAINER_NAME="gitea"),
    ),
}


def said(line: bytes) -> list[tuple[object, ...]]:
    """What the whole library makes of a line."""
    one = Plan(every_filter(), 0)
    return [
        (each.name, row[KIND], row[IP], row[USER], row[HOST], row[AT_MS], row[SKEWED])
        for each, rows in zip(one.filters, one.scan(line, CLOCK), strict=True)
        for row in rows
    ]


@pytest.mark.parametrize("name", ENTRIES)
def test_the_journal_followed_is_the_journal_exported(name: str) -> None:
    """What `match` shows of an entry, `up` counts: container, colours and bytes included."""
    filter_, value = ENTRIES[name]
    live, exported = said(render(value)), said(orjson.dumps(value) + b"\n")
    assert live == exported
    assert [(found[0], found[2], found[5]) for found in live] == [(filter_, "192.0.2.1", AT_US // 1_000)]


@pytest.mark.parametrize(
    ("filter_", "message"), [("jellyfin", JELLYFIN), ("gitea", GITEA), ("sshd", SSHD)], ids=["a", "b", "c"]
)
def test_a_containers_line_is_read_alike_by_every_driver(filter_: str, message: str) -> None:
    """Docker's json-file, its syslog and journal drivers, containerd, compose, and a line copied off them."""
    stamp = "2026-11-20T08:56:40.250000000Z"
    escaped = message.replace("\x1b", "#033")
    lines = [
        orjson.dumps({"log": f"{message}\n", "stream": "stderr", "time": stamp}).decode(),
        f"{stamp} stderr F {message}",
        *([] if filter_ == "sshd" else [f"{stamp} {message}"]),
        f"Nov 20 08:56:40 gate 3f2a1b4c5d6e[812]: {message}",
        f"Nov 20 08:56:40 gate docker/3f2a1b4c5d6e[812]: {escaped}",
        f"Nov 20 08:56:40 gate docker_{filter_}[812]: {escaped}",
        f"<30>Nov 20 08:56:40 docker/web[812]: {message}",
        f"{filter_}-1  | {message}",
        f"\x1b[36m{filter_}-1  |\x1b[0m {stamp} {message}",
        render(entry(message, SYSLOG_IDENTIFIER="x", CONTAINER_NAME="x")).decode().rstrip("\n"),
    ]
    for line in lines:
        found = said(f"{line}\n".encode())
        assert (line, [each[:4] for each in found]) == (line, [(filter_, "failed", "192.0.2.1", "bob")])
