"""Values of the configuration: each function takes what TOML gave and returns ours, or raises ValueError.

The error's text is what was expected, so that the caller can add file, key and value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from itertools import chain
from socket import getservbyname
from typing import Any

from producers.zones import zone_of
from schemas.addresses import canonical_prefix
from schemas.bounds import MOST_LABELS, MOST_PORT, NAME_CHARACTERS
from schemas.durations import parse_duration
from schemas.errors import InvalidMessage
from schemas.formulas import parse_formula
from schemas.rules import MOST_FACTOR, MOST_FACTORS
from schemas.shipments import MOST_HOST_BYTES, is_host

SIZE = re.compile(r"(\d{1,15})\s*([KMG]?)i?B?", re.IGNORECASE)
HOST_CHARACTERS = 200
"""A host's name stands before its files' incarnations, and both together are a name (schemas.bounds)."""
LABEL = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNITS_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
MOST_PORTS = 40
"""As many as a set of the firewall can be named after (enforcers.layout)."""
PORTS = f'a whole number from 1 to {MOST_PORT}, a service such as "ssh", or a range such as "8000:8010"'
PORT_SPAN = re.compile(r"(\d{1,5})(?::(\d{1,5}))?", re.ASCII)
PREFIXES = 'an address or prefix such as "192.0.2.7" or "2001:db8::/32"'
HOST_NAME = re.compile(r"[A-Za-z0-9._-]*[g-zG-Z_-][A-Za-z0-9._-]*")
FOREVER_WORDS = frozenset({"-1", "forever", "for ever", "permanent"})


def text(value: Any) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a string in quotes")
    return value.strip()


def texts(value: Any) -> tuple[str, ...]:
    """A string, or an array of them."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise ValueError("a string or an array of strings")  # noqa: TRY004 - one error for every bad value
    return tuple(map(text, value))


def names(most: int) -> Callable[[Any], tuple[str, ...]]:
    """So many different names at most."""

    def read(value: Any) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(texts(value)))
        if len(found) > most or any(len(name) > NAME_CHARACTERS for name in found):
            raise ValueError(f"at most {most} names, of {NAME_CHARACTERS} characters each")
        return found

    return read


def flag(value: Any) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - as above
    return value


def duration_ms(value: Any) -> int:
    """A duration longer than nothing, in milliseconds; a bare number is seconds."""
    if isinstance(value, dict):
        raise ValueError("one duration; how bans grow is [jail.NAME.increment]")  # noqa: TRY004 - as above
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('a duration such as "10m", "1d12h" or a number of seconds')  # noqa: TRY004 - as above
    parsed = parse_duration(str(value))
    if parsed <= 0:
        raise ValueError("a duration longer than nothing")
    return parsed


def formula(value: Any) -> str:
    """A formula of a ban's length."""
    made = text(value)
    try:
        parse_formula(made)
    except ValueError as error:
        expected = 'a formula such as "ban.Time * (1 << min(ban.Count, 20)) * banFactor"'
        raise ValueError(f"{expected} ({error})") from error
    return made


def bantime_ms(value: Any) -> int | None:
    """A duration in milliseconds, or None for ever: -1 or "forever"."""
    if str(value).strip().lower() in FOREVER_WORDS:
        return None
    try:
        return duration_ms(value)
    except ValueError as error:
        raise ValueError(f"{error}, or -1 for ever") from error


def size_bytes(low: int) -> Callable[[Any], int]:
    """A reader of sizes such as "256 MB" (a MB is 2**20 bytes here), of `low` bytes at least."""

    def check(value: Any) -> int:
        match = SIZE.fullmatch(str(value).strip())
        size = int(match[1]) * UNITS_BYTES[match[2].upper()] if match else 0
        if isinstance(value, bool) or not isinstance(value, int | str) or size < low:
            raise ValueError(f'a size such as "256 MB" or a number of bytes, from {low} on')
        return size

    return check


def size_limit(low: int) -> Callable[[Any], int | None]:
    """A reader of sizes as `size_bytes`, or of 0 and "none": no limit."""
    size = size_bytes(low)

    def check(value: Any) -> int | None:
        if value == "none" or (value == 0 and not isinstance(value, bool)):
            return None
        try:
            return size(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "none"') from error

    return check


def directory(value: Any) -> str:
    """An absolute path."""
    path = text(value)
    if not path.startswith("/"):
        raise ValueError("an absolute path of a directory")
    return path


def file(value: Any) -> str:
    """An absolute path of a file."""
    path = text(value)
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("an absolute path of a file")
    return path


def host(value: Any) -> str:
    """A host's name: one that records and the key of a message can carry."""
    name = text(value)
    if len(name) > HOST_CHARACTERS or not is_host(name):
        raise ValueError(f"a host's name of {HOST_CHARACTERS} characters at most, of {MOST_HOST_BYTES} bytes")
    return name


def listen(value: Any) -> tuple[str, int]:
    """An address of this machine and a port: host:port, with an IPv6 address in brackets."""
    host, _, port = text(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or not 1 <= int(port) <= MOST_PORT:
        raise ValueError('an address and a port, such as "127.0.0.1:9110"')
    return host, int(port)


def between(low: int, high: int) -> Callable[[Any], int]:
    """A reader of integers from `low` to `high`."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def factor(value: Any) -> float:
    """A number above nothing, such as 2 or 1.5; also in quotes, as fail2ban has it."""
    try:
        number = float(value) if not isinstance(value, bool) else 0.0
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number <= MOST_FACTOR:
        raise ValueError(f"a number above 0, {MOST_FACTOR:g} at most")
    return number


def factors(value: Any) -> tuple[float, ...]:
    """Several such numbers: an array, or fail2ban's "1 2 4 8"."""
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(words, list) or not words or len(words) > MOST_FACTORS:
        raise ValueError(f'numbers such as [1, 2, 4, 8] or "1 2 4 8", {MOST_FACTORS} at most')
    return tuple(map(factor, words))


def one_of(*choices: str) -> Callable[[Any], str]:
    """A reader of one of these words."""

    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return check


def usedns(value: Any) -> bool:
    """Whether host names become addresses, in fail2ban's words."""
    return {"yes": True, "warn": True, "no": False}[one_of("yes", "warn", "no")(value)]


def some_of(*choices: str) -> Callable[[Any], tuple[str, ...]]:
    """A reader of one or more of these words."""
    check = one_of(*choices)
    return lambda value: tuple(map(check, texts(value)))


def prefixes(value: Any) -> tuple[str, ...]:
    """Addresses and prefixes in canonical form: one, an array, or several in one string (fail2ban's way).

    Bits beyond a prefix's length do not count, as in fail2ban's `127.0.0.1/8`.
    """
    words = [word for part in texts(value) for word in part.replace(",", " ").split()] if value != [] else []
    wrong = [word for word in words if not is_prefix(word)]
    if wrong:
        given = "" if len(words) == 1 else f", and not {', '.join(wrong)}"
        names = "; names of hosts are not looked up" if any(map(HOST_NAME.fullmatch, wrong)) else ""
        raise ValueError(f"{PREFIXES}{given}{names}")
    return tuple(prefix(_masked(word)) for word in words)


def is_prefix(word: str) -> bool:
    """Whether a word is an address or prefix, as `prefixes` takes them."""
    try:
        prefix(_masked(word))
    except ValueError:
        return False
    return True


def _masked(word: str) -> str:
    """A prefix without bits beyond its length; what is none as it is."""
    try:
        return str(ip_network(word, strict=False)) if "/" in word else word
    except ValueError:
        return word


def prefix(value: str) -> str:
    """An address or prefix in canonical form."""
    try:
        return canonical_prefix(value)
    except InvalidMessage as error:
        hint = ", without bits beyond the prefix length" if "host bits" in str(error) else ""
        raise ValueError(f"{PREFIXES}{hint}") from error


def labels(value: Any) -> dict[str, str]:
    """Names and values, such as { site = "fra", tier = "edge" }."""
    if (
        not isinstance(value, dict)
        or len(value) > MOST_LABELS
        or not all(
            LABEL.fullmatch(name) and isinstance(text, str) and LABEL.fullmatch(text)
            for name, text in value.items()
        )
    ):
        raise ValueError(
            f'a table of labels such as {{ site = "fra" }}, at most {MOST_LABELS}, each at most 64 of A-Z, '
            "a-z, 0-9, . _ -"
        )
    return dict(value)


def timezone(value: Any) -> str:
    """A time zone: a name of the database, POSIX' rule, or a fixed offset."""
    name = text(value)
    zone_of(name)
    return name


def ports(value: Any) -> tuple[int, ...]:
    """Ports: numbers, services' names and ranges such as "8000:8010", one or an array; sorted, each once.

    All of them, as in fail2ban's `0:65535`, is no limit, and so no port. Raises ValueError.
    """
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, bool) or not isinstance(each, int | str) for each in values):
        raise ValueError(PORTS)
    words = [word for each in values for word in str(each).replace(",", " ").split()]
    spans = [_port_span(word) for word in words]
    if any(span.start <= 1 and span.stop > MOST_PORT for span in spans):
        return ()
    found = tuple(sorted(set(chain.from_iterable(spans))))
    if len(found) > MOST_PORTS:
        raise ValueError(
            f"{MOST_PORTS} ports at most, not {len(found)}; without the key a ban is for all ports"
        )
    return found


def _port_span(word: str) -> range:
    """The ports that a word names: one, a service's, or those from the first to the last."""
    found = PORT_SPAN.fullmatch(word)
    if found is None and word[:1].isalpha():
        try:
            return range(port := getservbyname(word), port + 1)
        except OSError as error:
            raise ValueError(f"{PORTS}; {word!r} is no service of /etc/services") from error
    if found is None:
        raise ValueError(PORTS)
    span = range(int(found[1]), int(found[2] or found[1]) + 1)
    if not span or span.stop > MOST_PORT + 1 or (span.start < 1 and span.stop <= MOST_PORT):
        raise ValueError(PORTS)
    return span
