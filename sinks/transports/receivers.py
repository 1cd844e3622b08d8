"""What the ways of syslog have in common: a receiver's place, the connection to it, the message for it."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Final

from sinks.contract import Option, Options, Parcel, Sending, SentBy
from sinks.formats.syslog import FACILITIES, header
from sinks.transports.posting import tls_context

PLACE: Final = re.compile(r"([a-z+]+)://(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+))(?::(\d{1,5}))?/?")
HIGHEST_PORT: Final = 65_535
OPTIONS: Final = {
    "facility": Option("text", "authpriv", FACILITIES),
    "timeout": Option("duration", 30_000),
    "ca_file": Option("file"),
    "cert_file": Option("file"),
    "key_file": Option("file"),
}


def place_in(to: str, ports: Mapping[str, int]) -> tuple[str, str, int] | None:
    """The scheme, the host and the port of a receiver; None where it is none. `ports`: each scheme's own."""
    found = PLACE.fullmatch(to)
    if found is None or found[1] not in ports or not 0 < int(found[4] or 1) <= HIGHEST_PORT:
        return None
    return found[1], found[2] or found[3], int(found[4] or ports[found[1]])


def connected(host: str, port: int, options: Options, *, tls: bool) -> socket.socket:
    """A connection, by TLS if wanted. Raises OSError."""
    timeout_s = options["timeout"] / 1_000
    made = socket.create_connection((host, port), timeout_s)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls:
            made = tls_context(options).wrap_socket(made, server_hostname=host)
    except BaseException:
        made.close()
        raise
    made.settimeout(timeout_s)
    return made


class SyslogMessages:
    """Makes messages: a format that is no syslog has a header put before it."""

    def __init__(self, options: Options, parcel: Parcel, sender: SentBy) -> None:
        self._facility = FACILITIES.index(options["facility"]) * 8
        self._framed = parcel.format == "syslog"
        self._host = sender.host

    def of(self, sending: Sending) -> bytes:
        """The message of an item."""
        if self._framed:
            return sending.body
        return f"{header(sending.item, self._facility, self._host)} - ".encode() + sending.body
