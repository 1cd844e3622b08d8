"""A harmless attacker of one's own: wrong passwords at an sshd, from an address that nobody else has.

ssh(1) itself does the guessing, with a password that is its own prompt; no session can come of it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, ip_address
from typing import Final, Literal, NamedTuple

from schemas.errors import ConfigError, SourceError

USER: Final = "banstream-attack"
"""Nobody's name: no account is locked by the guesses."""
GUESSES: Final = 2
"""Passwords a connection."""
CONNECT_S: Final = 4
PATIENCE_S: Final = 12
"""A connection that is cut by a ban says nothing any more."""
NETWORK: Final = IPv4Address("198.18.0.0")
"""RFC 2544: for trying devices out, in nobody's use."""
PAIRS: Final = 1 << 15
"""Networks of four addresses in 198.18.0.0/15."""
SILENT: Final = ("timed out", "No route to host", "Network is unreachable")

Guessed = Literal["refused", "closed", "nobody there", "no answer"]


class Attacker(NamedTuple):
    """Who attacks whom; `enter`: what a program is started with to be the attacker's."""

    address: str
    target: str
    port: int
    enter: tuple[str, ...] = ()

    def guess(self) -> Guessed:
        """Try some passwords at the target; what came of it. Raises SourceError: no ssh(1) here."""
        command = [
            *self.enter,
            _program("ssh", "openssh-client"),
            "-F",
            "none",
            "-p",
            str(self.port),
            "-l",
            USER,
        ]
        options = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "PreferredAuthentications=password",
            f"NumberOfPasswordPrompts={GUESSES}",
            f"ConnectTimeout={CONNECT_S}",
        )
        env = {**os.environ, "SSH_ASKPASS": "/bin/echo", "SSH_ASKPASS_REQUIRE": "force", "LC_ALL": "C"}
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and the host is no option
                [*command, *(f"-o{option}" for option in options), "--", self.target, "true"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=env,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "no answer"
        return _guessed(done.stderr)


def _guessed(said: str) -> Guessed:
    """What ssh(1) says of a try, in one word."""
    if "Permission denied" in said:
        return "refused"
    if "Connection refused" in said:
        return "nobody there"
    return "no answer" if any(words in said for words in SILENT) else "closed"


@contextmanager
def stranger(namespace: str | None, port: int) -> Iterator[Attacker]:
    """An attacker in a network namespace of its own, on a wire to this machine or to a namespace by name.

    Both are gone at the end. Raises SourceError: it needs root and ip(8).
    """
    if os.geteuid() != 0:
        raise SourceError("an attacker of its own needs root, to make a network namespace; or name HOST:PORT")
    number = os.getpid()
    own, wire = f"banstream-attack-{number}", f"bsa{number}"
    base = int(NETWORK) + 4 * (number % PAIRS)
    target, attacker = str(IPv4Address(base + 1)), str(IPv4Address(base + 2))
    there = () if namespace is None else ("-n", namespace)
    _ip("netns", "add", own)
    try:
        place = () if namespace is None else ("netns", namespace)
        _ip("link", "add", "eth0", "netns", own, "type", "veth", "peer", "name", wire, *place)
        _ip(*there, "address", "add", f"{target}/30", "dev", wire)
        _ip(*there, "link", "set", wire, "up")
        for word in ("lo", "eth0"):
            _ip("-n", own, "link", "set", word, "up")
        _ip("-n", own, "address", "add", f"{attacker}/30", "dev", "eth0")
        yield Attacker(attacker, target, port, (_program("ip", "iproute2"), "netns", "exec", own))
    finally:
        with suppress(SourceError):  # it may not have come to that
            _ip(*there, "link", "delete", wire)
        _ip("netns", "delete", own)


def from_here(target: str, *, owned: bool) -> Attacker:
    """This machine as the attacker of HOST:PORT; one on the public Internet only where it is `owned`.

    Raises:
        ConfigError: not HOST:PORT, nobody of that name, or a public address.
    """
    host, colon, text = target.rpartition(":")
    if not colon or not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 16:
        raise ConfigError(f"--target {target!r}: expected HOST:PORT, or a network namespace of /run/netns")
    port = int(text)
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"--target {target!r}: no such host: {error.strerror}") from error
    addresses = [str(each[4][0]).partition("%")[0] for each in found]
    public = [each for each in addresses if ip_address(each).is_global]
    if public and not owned:
        raise ConfigError(
            f"--target {target!r} is {public[0]}, a public address: attack what is yours, and say "
            "--i-own-this. Its owner sees failed logins, and may ban you"
        )
    return Attacker("this machine", addresses[0], port)


def _ip(*words: str) -> None:
    """Call ip(8)."""
    command: Sequence[str] = [_program("ip", "iproute2"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    if done.returncode:
        raise SourceError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SourceError(f"{name} is not here; apt-get install {package}")
    return found
