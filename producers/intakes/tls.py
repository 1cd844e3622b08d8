"""TLS on the server's side, and what a peer's certificate says."""

from __future__ import annotations

import socket
import ssl

from producers.intakes.settings import Intake


def context_of(intake: Intake) -> ssl.SSLContext | None:
    """The server's side of TLS; None where the intake has none. Raises OSError for what cannot be read."""
    if intake.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(intake.certificate, intake.key)
    if intake.client_ca is not None:
        context.load_verify_locations(intake.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if intake.asks_certificate else ssl.CERT_OPTIONAL
    return context


def names_of(tls: ssl.SSLSocket) -> tuple[str, ...]:
    """What a peer's certificate, which has been verified, is made out for; none without one."""
    found = tls.getpeercert() or {}
    other: tuple[tuple[str, str], ...] = found.get("subjectAltName", ())  # type: ignore[assignment]
    subject: tuple[tuple[tuple[str, str], ...], ...] = found.get("subject", ())  # type: ignore[assignment]
    names = [value for kind, value in other if kind == "DNS"]
    return tuple(names or (value for part in subject for key, value in part if key == "commonName"))


def pending(made: socket.socket) -> bool:
    """Whether something has been read off the wire that nobody would wake us for."""
    return isinstance(made, ssl.SSLSocket) and made.pending() > 0
