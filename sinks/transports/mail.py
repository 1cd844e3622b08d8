"""Mail, by SMTP (RFC 5321): one a minute at most, whatever happens; all that came meanwhile is in the next.

| the server says | then |
|---|---|
| 250 | all of the mail's items are taken |
| 5xx to what the mail holds (spam, too large) | they are dead letters |
| anything else, or nothing | the mail is sent again: of a recipient who is refused, too |

A mail that is sent again has the same Message-ID.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from logging import getLogger
from typing import Final

from schemas.errors import Transient
from sinks.contract import (
    TAKEN,
    Option,
    Options,
    Parcel,
    Reception,
    Sending,
    SentBy,
    SinkAnswer,
    TransportKind,
)
from sinks.digest import digest, subject
from sinks.secrets import secret, secret_problem

ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+|[A-Za-z0-9._-]+")
SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?")
PORTS: Final = {"tls": 465, "starttls": 587}
PERMANENT: Final = 500
REFUSED_MS: Final = 60_000

log = getLogger("banstream")


class MailTransport:
    """Sends a digest of each batch."""

    def __init__(self, recipients: Sequence[str], options: Options, sender: SentBy) -> None:
        """`options`: `server`, `tls`, `from`, `user`, `password_file`, `ca_file`, `timeout`."""
        self._recipients = list(recipients)
        self._options = options
        self._sender = sender
        self._from: str = options["from"] or f"banstream@{_domain(sender.host)}"

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Send one mail. Raises Transient."""
        message = self.message(batch)
        try:
            with self._connected() as server:
                refused = server.send_message(message, self._from, self._recipients)
        except smtplib.SMTPDataError as error:
            said = _said(error.smtp_code, error.smtp_error)
            if error.smtp_code < PERMANENT:
                raise Transient(said) from error
            return [SinkAnswer(Reception.HOPELESS, said)] * len(batch)
        except smtplib.SMTPRecipientsRefused as error:
            told = "; ".join(f"{name}: {_said(*why)}" for name, why in error.recipients.items())
            raise Transient(f"no recipient is taken: {told}", retry_after_ms=REFUSED_MS) from error
        except smtplib.SMTPResponseException as error:
            raise Transient(_said(error.smtp_code, error.smtp_error), retry_after_ms=REFUSED_MS) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Transient(f"{self._options['server']}: {error}") from error
        for name, why in refused.items():
            log.warning(
                "A mail did not go to all name=%s recipient=%s said=%s", self._sender.name, name, _said(*why)
            )
        return [TAKEN] * len(batch)

    def close(self) -> None:
        """Each mail has a connection of its own."""

    def message(self, batch: Sequence[Sending]) -> EmailMessage:
        """The mail of a batch."""
        items = [sending.item for sending in batch]
        named = sha256("\n".join(item.id for item in items).encode()).hexdigest()[:32]
        message = EmailMessage(policy=SMTP)
        message["Subject"] = subject(items, self._sender.host)
        message["From"] = self._from
        message["To"] = ", ".join(self._recipients)
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{named}@{_domain(self._sender.host)}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(digest(items), cte="quoted-printable")
        return message

    def _connected(self) -> smtplib.SMTP:
        """A connection on which mail may be sent. Raises what smtplib raises, and Transient."""
        options, mode = self._options, self._options["tls"]
        host, port = _server(options["server"], PORTS.get(mode, 25))
        context = ssl.create_default_context(cafile=options["ca_file"])
        timeout_s = options["timeout"] / 1_000
        me = _domain(self._sender.host)
        server: smtplib.SMTP
        if mode == "tls":
            server = smtplib.SMTP_SSL(host, port, local_hostname=me, timeout=timeout_s, context=context)
        else:
            server = smtplib.SMTP(host, port, local_hostname=me, timeout=timeout_s)
        try:
            server.ehlo()
            if mode == "starttls" or (mode == "auto" and server.has_extn("starttls") and options["user"]):
                server.starttls(context=context)
                server.ehlo()
            if options["user"]:
                self._log_in(server)
        except BaseException:
            server.close()
            raise
        return server

    def _log_in(self, server: smtplib.SMTP) -> None:
        options = self._options
        if not isinstance(server.sock, ssl.SSLSocket) and options["tls"] != "none":
            raise Transient(
                f"{options['server']} offers no STARTTLS, and a password would be seen on its way"
            )
        password = secret(options["password_file"]) if options["password_file"] else ""
        if not password.isascii() or not options["user"].isascii():
            raise Transient(
                f"{options['password_file'] or 'user'}: not sent, since SMTP takes plain ASCII for a login",
                retry_after_ms=REFUSED_MS,
            )
        server.login(options["user"], password)


def _server(text: str, port: int) -> tuple[str, int]:
    found = SERVER.fullmatch(text)
    if found is None:
        return text, port
    return found[1].strip("[]"), int(found[2] or port)


def _said(code: int, text: bytes | str) -> str:
    told = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(told.split())}"


def _domain(host: str) -> str:
    """A host's name as mail takes it."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", host).strip(".-")
    with suppress(OSError):
        return name or socket.gethostname()
    return name or "localhost"


def _recipients(to: str) -> list[str]:
    return [each.strip() for each in to.partition(":")[2].split(",") if each.strip()]


def _doubt(to: str, options: Options) -> str | None:
    recipients = _recipients(to)
    wrong = [each for each in recipients if ADDRESS.fullmatch(each) is None]
    if not recipients or wrong:
        return (
            f"mail: and addresses, such as mail:ops@example.org,root{f'; not {wrong[0]!r}' if wrong else ''}"
        )
    if options["from"] and ADDRESS.fullmatch(options["from"]) is None:
        return f"from with one address, such as banstream@example.org, not {options['from']!r}"
    if SERVER.fullmatch(options["server"]) is None:
        return (
            f"server with a host and perhaps a port, such as mail.example.org:587, not {options['server']!r}"
        )
    if options["password_file"] and not options["user"]:
        return "user beside password_file"
    return secret_problem(options["password_file"])


def _open(to: str, options: Options, _: Parcel, sender: SentBy) -> MailTransport:
    return MailTransport(_recipients(to), options, sender)


MAIL: Final = TransportKind(
    _open,
    options={
        "server": Option("text", "localhost"),
        "tls": Option("text", "auto", ("auto", "starttls", "tls", "none")),
        "from": Option("text", ""),
        "user": Option("text", ""),
        "password_file": Option("file"),
        "ca_file": Option("file"),
        "timeout": Option("duration", 30_000),
    },
    doubt=_doubt,
    on=("ban",),
    most=20_000,
    every_ms=60_000,
)
