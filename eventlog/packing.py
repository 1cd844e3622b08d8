"""Events as a log in a file keeps them: deflated (RFC 1950), with a dictionary of what most of them say.

A frame of many events takes a twelfth of its room, a lone one less than a third. The dictionary is a part of
the file's format: it never changes, a better one is another mark.

| stored | is |
|---|---|
| begins with PACKED | the rest inflates to the value |
| anything else, and nothing | the value itself |
"""

from __future__ import annotations

import zlib
from typing import Final, cast

try:
    from isal import isal_zlib as deflate  # the extra `fast`
except ImportError:
    deflate = zlib  # type: ignore[misc]  # the same functions, and what one packs the other unpacks

ERRORS: Final = (zlib.error, cast("type[Exception]", deflate.error))
PACKED: Final = b"\x00"
"""No frame begins with it; a value that does is packed whatever comes of it."""
LEVEL: Final = 1
"""Measured: 0.4 µs an event for 30 bytes, with zlib itself 1.8 µs for 32; the next levels save little."""
MOST_BYTES: Final = 1_000_000_000
"""SQLite keeps no larger value (https://www.sqlite.org/limits.html); what inflates to more is damage."""

DICTIONARY: Final = b"".join(
    (
        b'","port":","service":"","host":"","user":"invalid user admin","user":"root","skewed":true',
        b'"labels":{"site":"","fields":{"nginx postfix/smtpd dovecot: imap-login: Disconnected ',
        b"(auth failed, user=<>, method=PLAIN, rip=, lip=, TLS, session=<>",
        b'"GET /  HTTP/1.1" 404 "POST /wp-login.php HTTP/1.1" 200 ',
        b"warning: unknown[]: SASL LOGIN authentication failed: ",
        b"Connection closed by authenticating user root  [preauth]Received disconnect from  port  [preauth]",
        b"Invalid user  from  port error: maximum authentication attempts exceeded for ",
        b"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=",
        b"Failed password for invalid user  from  port  ssh2Accepted publickey for sshd[",
        b'{"type":"auth","v":1,"kind":"succeeded","at_ms":{"type":"auth","v":1,"kind":"probed","at_ms":',
        b'{"type":"auth","v":1,"kind":"failed","at_ms":17,"seen_at_ms":17,"filter":"sshd","filter_version":"',
        b'","ip":"","source":"journald:_SYSTEMD_UNIT=ssh.service + _SYSTEMD_UNIT=sshd.service',
        b'","source":"file:/var/log/auth.log","incarnation":"","position":,"line":"',
    )
)
"""What is most usual stands last."""


def packed(value: bytes) -> bytes:
    """A value as it is stored."""
    deflater = deflate.compressobj(LEVEL, zdict=DICTIONARY)
    smaller = PACKED + deflater.compress(value) + deflater.flush()
    return smaller if len(smaller) < len(value) or value.startswith(PACKED) else value


def unpacked(stored: bytes) -> bytes:
    """The value that is stored; ValueError when it is damaged."""
    if not stored.startswith(PACKED):
        return stored
    inflater = deflate.decompressobj(zdict=DICTIONARY)
    try:
        value = inflater.decompress(stored[len(PACKED) :], MOST_BYTES)
    except ERRORS as error:
        raise ValueError(f"a message cannot be unpacked: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise ValueError("a message cannot be unpacked: it is not whole")
    return value
