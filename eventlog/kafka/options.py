"""From a `kafka://` url to how clients connect. Nothing here connects.

`kafka://HOST[:PORT][,HOST[:PORT]...][?OPTION=VALUE[&...]]`; values are percent-decoded.

| option | means |
|---|---|
| `prefix` | put before every topic's and transaction's name, so that one cluster holds several logs |
| `timeout` | how long a call may wait for the broker (default 20s) |
| `user`, `password_file` | SASL; the file's first line, or else $BANSTREAM_KAFKA_PASSWORD, is the password |
| `mechanism` | PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (the default with `user`) |
| `tls` | `on` or `off`; on by itself with `user`, `ca`, `cert` or `key` |
| `ca` | the certificates to trust (PEM); default: the system's |
| `cert`, `key` | the client's certificate and its key (PEM) |
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from eventlog.trust import doubt
from schemas.durations import parse_duration
from schemas.errors import ConfigError
from schemas.secrets import HIDDEN, hidden

PORT: Final = 9092
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PASSWORD_VARIABLE: Final = "BANSTREAM_KAFKA_PASSWORD"  # noqa: S105 - the name of a variable
KNOWN: Final = (
    "prefix",
    "timeout",
    "user",
    "password_file",
    "mechanism",
    "tls",
    "ca",
    "cert",
    "key",
)
LEAST_TIMEOUT_MS: Final = 1_000
MOST_TIMEOUT_MS: Final = 600_000

_SERVER = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """How to reach a cluster, and what this log is called there.

    Attributes:
        servers: `host:port` of the brokers asked first.
        prefix: put before every topic's and transaction's name.
        timeout_ms: how long a call may wait for the broker, in milliseconds.
        user, password, mechanism: SASL; without a user there is none.
        tls: whether connections are encrypted.
        ca, cert, key: PEM files; None: the system's certificates, no client certificate.
    """

    servers: tuple[str, ...]
    prefix: str = ""
    timeout_ms: int = 20_000
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: str = "SCRAM-SHA-512"
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @property
    def place(self) -> str:
        """What a person reads in an error: where the log is."""
        return f"kafka://{','.join(self.servers)}"

    @property
    def warning(self) -> str | None:
        """What whoever starts with these options has to hear; None where there is nothing to say."""
        if self.tls or (self.user is None and all(map(_is_loopback, self.servers))):
            return None
        who = "nobody signs in" if self.user is None else f"{self.user} signs in by {self.mechanism}"
        return (
            f"{self.place}: {who}, and nothing is encrypted: whoever is between this host and the brokers "
            "can read and change all that is said; give the brokers TLS, and write tls=on or ca=FILE"
        )

    @property
    def security_protocol(self) -> str:
        """What Kafka's clients call a connection like this."""
        return ("SASL_" if self.user is not None else "") + ("SSL" if self.tls else "PLAINTEXT")

    def client(self) -> dict[str, Any]:
        """The settings that every client of kafka-python gets."""
        settings: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "client_id": "banstream",
            "request_timeout_ms": self.timeout_ms // 2,
            "bootstrap_timeout_ms": self.timeout_ms,
            "reconnect_backoff_max_ms": 1_000,  # a broker that is back is found within a second
            "security_protocol": self.security_protocol,
        }
        if self.user is not None:
            settings |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        if self.tls:
            settings |= {"ssl_cafile": self.ca, "ssl_certfile": self.cert, "ssl_keyfile": self.key}
        return settings


def parse_url(url: str) -> KafkaOptions:
    """The options in a url; raises ConfigError with every problem."""
    problems: list[str] = []

    def problem(name: str, value: str, expected: str) -> None:
        problems.append(f"log.url: {name} = {value!r}: expected {expected}")

    rest = url.removeprefix("kafka://")
    authority, _, query = rest.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    for name in given:
        if name not in KNOWN:
            problem("option", name, f"one of {', '.join(KNOWN)}")
    if len(given) != len(pairs):
        problem("options", hidden(f"?{query}"), "each option once")
    options = KafkaOptions(
        servers=_servers(authority.rstrip("/"), "@" in query, problem),
        prefix=_prefix(given.get("prefix", ""), problem),
        timeout_ms=_timeout_ms(given.get("timeout", "20s"), problem),
        **_tls(given, problem),
        **_sasl(given, problem),
    )
    if problems:
        raise ConfigError(*problems)
    return options


Problem = Callable[[str, str, str], None]


def _servers(authority: str, torn: bool, problem: Problem) -> tuple[str, ...]:  # noqa: FBT001 - of one call
    """The servers; `torn`: a password with a `?` may have cut them off where they are not yet."""
    servers = []
    for server in authority.split(","):
        match = _SERVER.fullmatch(server)
        if match is None or int(match[1] or PORT) > 65_535:  # noqa: PLR2004 - the last port
            shown = HIDDEN if torn else hidden(server)
            problem("server", shown, "host or host:port; credentials go into ?user= and &password_file=")
        else:
            servers.append(server if match[1] else f"{server}:{PORT}")
    return tuple(servers)


def _prefix(value: str, problem: Problem) -> str:
    if not _PREFIX.fullmatch(value):
        problem("prefix", value, "at most 100 letters, digits, dots, dashes and underscores")
    return value


def _timeout_ms(value: str, problem: Problem) -> int:
    try:
        timeout_ms = parse_duration(value)
    except ValueError:
        timeout_ms = None
    if timeout_ms is None or not LEAST_TIMEOUT_MS <= timeout_ms <= MOST_TIMEOUT_MS:
        problem("timeout", value, "a duration from 1s to 10m")
        return MOST_TIMEOUT_MS
    return timeout_ms


def _tls(given: dict[str, str], problem: Problem) -> dict[str, Any]:
    files = {name: given[name] for name in ("ca", "cert", "key") if name in given}
    for name, path in files.items():
        _check_trust(name, path, problem, secret=name == "key")
    if "key" in files and "cert" not in files:
        problem("key", files["key"], "cert= beside it")
    tls = given.get("tls", "on" if files or "user" in given else "off")
    if tls not in {"on", "off"} or (tls == "off" and files):
        problem("tls", tls, "on, or off without ca, cert and key")
    settings: dict[str, Any] = {"tls": tls == "on"}
    return settings | files


def _sasl(given: dict[str, str], problem: Problem) -> dict[str, Any]:
    user = given.get("user")
    if user is None:
        for name in ("mechanism", "password_file"):
            if name in given:
                problem(name, given[name], "user= beside it")
        return {}
    mechanism = given.get("mechanism", MECHANISMS[-1])
    if mechanism not in MECHANISMS:
        problem("mechanism", mechanism, f"one of {', '.join(MECHANISMS)}")
    return {"user": user, "mechanism": mechanism, "password": _password(given, problem)}


def _password(given: dict[str, str], problem: Problem) -> str | None:
    path = given.get("password_file")
    password = os.environ.get(PASSWORD_VARIABLE)
    if path is not None:
        if not _check_trust("password_file", path, problem, secret=True):
            return None
        try:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 - one line of a file
                password = file.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            problem("password_file", path, f"a text file that this user can read ({error})")
            return None
    if not password:
        problem("user", given["user"], f"a password, in the file password_file= or in ${PASSWORD_VARIABLE}")
    return password


def _check_trust(name: str, path: str, problem: Problem, *, secret: bool) -> bool:
    try:
        why = doubt(Path(path), secret=secret)
    except OSError as error:
        why = error.strerror
    else:
        if why is None and not os.access(path, os.R_OK):
            why = os.strerror(errno.EACCES)
    if why is not None:
        problem(name, path, f"a file that this user can read and trust ({why})")
    return why is None


def _is_loopback(server: str) -> bool:
    host = server.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
