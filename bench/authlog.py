"""Makes an auth.log of one day: whole sshd sessions of attackers among a server's ordinary lines.

Deterministic by its seed. 20,000 addresses, Zipf-distributed, 5 % of them IPv6; about 126 bytes a line.
`python -m bench.authlog --lines 1000000 --attack 0.9 /tmp/auth.log`
"""

from __future__ import annotations

import argparse
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Final

DAY_SECONDS: Final = 86_400
ADDRESSES: Final = 20_000
IPV6_SHARE: Final = 0.05
START: Final = datetime(2026, 11, 22, tzinfo=UTC)
HOST: Final = "frontend-eu-west-07"
NAMES: Final = (
    "admin", "test", "oracle", "ubuntu", "git", "postgres", "user", "deploy",
    "ftpuser", "hadoop", "jenkins", "nagios", "tomcat", "www", "minecraft",
)  # fmt: skip
VALID: Final = ("root", "root", "root", "backup", "daemon")
STAFF: Final = ("alice", "bob", "carol", "deploy")
PAM_FAILURE: Final = (
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip} {user}"
)
DAY: Final = ("cron",) * 12 + ("sudo",) * 5 + ("logind",) * 5 + ("su",) * 2 + ("sshd",)
"""What a server does, by how often."""
PAM_MORE: Final = "PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip} {user}"
NO_KEX: Final = "no matching key exchange method found."
OFFER: Final = "diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1,diffie-hellman-group1-sha1"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone who connects, and what one line about them needs."""

    ip: str
    port: int
    name: str
    valid: str


def invalid_user(who: Visitor) -> list[str]:
    """A password guessed for a user who does not exist."""
    return [
        f"Invalid user {who.name} from {who.ip} port {who.port}",
        "pam_unix(sshd:auth): check pass; user unknown",
        PAM_FAILURE.format(ip=who.ip, user=""),
        f"Failed password for invalid user {who.name} from {who.ip} port {who.port} ssh2",
        f"Received disconnect from {who.ip} port {who.port}:11: Bye Bye [preauth]",
        f"Disconnected from invalid user {who.name} {who.ip} port {who.port} [preauth]",
    ]


def valid_user(who: Visitor) -> list[str]:
    """Passwords guessed for root and the like, several in one connection."""
    attempt = f"Failed password for {who.valid} from {who.ip} port {who.port} ssh2"
    return [
        PAM_FAILURE.format(ip=who.ip, user=f" user={who.valid}"),
        *[attempt] * (1 + who.port % 3),
        f"Connection closed by authenticating user {who.valid} {who.ip} port {who.port} [preauth]",
    ]


def too_many(who: Visitor) -> list[str]:
    """Guesses until sshd hangs up."""
    came = f"{who.valid} from {who.ip} port {who.port}"
    attempt = f"Failed password for {came} ssh2"
    peer = f"{who.valid} {who.ip} port {who.port}"
    return [
        PAM_FAILURE.format(ip=who.ip, user=f" user={who.valid}"),
        *[attempt] * 6,
        f"error: maximum authentication attempts exceeded for {came} ssh2 [preauth]",
        f"Disconnecting authenticating user {peer}: Too many authentication failures [preauth]",
        PAM_MORE.format(ip=who.ip, user=f" user={who.valid}"),
    ]


def key_only(who: Visitor) -> list[str]:
    """A server that takes keys only."""
    return [f"Connection closed by authenticating user {who.valid} {who.ip} port {who.port} [preauth]"]


def negotiation(who: Visitor) -> list[str]:
    """A scanner with ciphers of long ago."""
    return [f"Unable to negotiate with {who.ip} port {who.port}: {NO_KEX} Their offer: {OFFER} [preauth]"]


def scanner(who: Visitor) -> list[str]:
    """A scanner that only looks."""
    return [
        "error: kex_exchange_identification: Connection closed by remote host",
        f"Connection closed by {who.ip} port {who.port}",
    ]


ATTACKS: Final[tuple[tuple[int, Callable[[Visitor], list[str]]], ...]] = (
    (45, invalid_user),
    (30, valid_user),
    (3, too_many),
    (10, key_only),
    (4, negotiation),
    (8, scanner),
)


def ordinary(random: Random, pid: int) -> list[str]:
    """What a server logs on a quiet day: jobs, sudo, sessions."""
    who = random.choice(STAFF)
    session = random.randrange(1, 99_999)
    match random.choice(DAY):
        case "cron":
            head = f"CRON[{pid}]: pam_unix(cron:session): session"
            return [f"{head} opened for user root(uid=0) by (uid=0)", f"{head} closed for user root"]
        case "sudo":
            head = "sudo: pam_unix(sudo:session): session"
            command = "/usr/bin/rsync -a --delete /srv/releases/current/ /srv/www/app/"
            return [
                f"sudo:   {who} : TTY=pts/{session % 9} ; PWD=/home/{who} ; USER=root ; COMMAND={command}",
                f"{head} opened for user root(uid=0) by {who}(uid={1000 + session % 9})",
                f"{head} closed for user root",
            ]
        case "logind":
            return [
                f"systemd-logind[612]: New session {session} of user {who}.",
                f"systemd-logind[612]: Session {session} logged out. Waiting for processes to exit.",
                f"systemd-logind[612]: Removed session {session}.",
            ]
        case "sshd":
            peer = f"10.20.{session % 250}.{session % 200} port {20_000 + session % 40_000}"
            key = "ssh2: ED25519 SHA256:kUqJ8m0vT3aR5wXy7Zb1Nc4Qd6Le9Pf2Hg0Si8Tj"
            session_line = f"sshd[{pid}]: pam_unix(sshd:session): session"
            return [
                f"sshd[{pid}]: Accepted publickey for {who} from {peer} {key}",
                f"{session_line} opened for user {who}(uid=1000) by (uid=0)",
                f"sshd[{pid + 1}]: Received disconnect from {peer}:11: disconnected by user",
                f"sshd[{pid + 1}]: Disconnected from user {who} {peer}",
                f"{session_line} closed for user {who}",
            ]
        case _:
            return [
                f"su[{pid}]: (to postgres) {who} on pts/{session % 9}",
                f"su[{pid}]: pam_unix(su-l:session): session opened for user postgres(uid=113) by {who}",
            ]


def addresses(random: Random) -> list[str]:
    """The attackers' addresses, the most frequent first."""
    return [
        "2001:db8:{:x}:{:x}::{:x}".format(*(random.randrange(1, 1 << 16) for _ in range(3)))
        if random.random() < IPV6_SHARE
        else ".".join(str(random.randrange(1, 255)) for _ in range(4))
        for _ in range(ADDRESSES)
    ]


class Attackers:
    """Draws attackers, Zipf-distributed, and their sessions."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._addresses = addresses(random)
        self._weights = list(accumulate(1 / rank for rank in range(1, ADDRESSES + 1)))
        self._shapes = [make for weight, make in ATTACKS for _ in range(weight)]

    def session(self, pid: int) -> list[str]:
        """The lines of one attacker's connection."""
        random = self._random
        rank = bisect(self._weights, random.random() * self._weights[-1])
        who = Visitor(
            self._addresses[min(rank, ADDRESSES - 1)],
            random.randrange(1_024, 65_536),
            random.choice(NAMES),
            random.choice(VALID),
        )
        return [f"sshd[{pid}]: {line}" for line in random.choice(self._shapes)(who)]


def messages(count: int, attack: float, random: Random) -> Iterator[str]:
    """So many messages, of which a share are attackers', a session at a time."""
    attackers = Attackers(random)
    hostile = total = 0
    while total < count:
        pid = 1_000 + (total * 7) % 4_000_000
        if hostile < attack * (total + 1):
            lines = attackers.session(pid)
            hostile += len(lines)
        else:
            lines = ordinary(random, pid)
        lines = lines[: count - total]
        total += len(lines)
        yield from lines


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time that a log covers, in seconds from an instant.

    `iso`: its times are as rsyslog writes them, with microseconds and an offset; else as RFC 3164 has them.
    """

    start: datetime = START
    seconds: int = DAY_SECONDS
    iso: bool = False


def lines(count: int, attack: float, seed: int = 1, span: Span = Span()) -> Iterator[str]:
    """The log, line by line, its times spread evenly."""
    stamp, at = "", -1
    for number, message in enumerate(messages(count, attack, Random(seed))):
        second, rest = divmod(number * span.seconds, count)
        if second != at:
            at = second
            form = "%Y-%m-%dT%H:%M:%S" if span.iso else "%b %d %H:%M:%S"
            stamp = (span.start + timedelta(seconds=second)).strftime(form)
        fraction = f".{rest * 1_000_000 // count:06}+01:00" if span.iso else ""
        yield f"{stamp}{fraction} {HOST} {message}\n"


def write(path: Path, count: int, attack: float, seed: int = 1, span: Span = Span()) -> None:
    """Write the log to a file."""
    with path.open("w") as stream:
        stream.writelines(lines(count, attack, seed, span))


def main() -> None:
    """Write a log as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--attack", type=float, default=0.9, help="the share of attack lines, 0 to 1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=int, help="of the last minutes, in local time, instead of one day")
    given = parser.parse_args()
    span = Span()
    if given.minutes:
        seconds = given.minutes * 60
        span = Span(datetime.now() - timedelta(seconds=seconds), seconds)  # noqa: DTZ005 - a log's local time
    write(given.path, given.lines, given.attack, given.seed, span)


if __name__ == "__main__":
    main()
