"""Secrets: read from files that nobody else may read, when they are needed, and never shown."""

from __future__ import annotations

from pathlib import Path

from eventlog.trust import doubt
from schemas.errors import Transient


def secret(path: str) -> str:
    """What a file holds, without line breaks at its end. Raises Transient: it is looked at again later."""
    try:
        if why := doubt(Path(path), secret=True):
            raise Transient(f"{path}: not read, since it cannot be trusted: {why}", retry_after_ms=10_000)
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise Transient(f"{path}: {error.strerror}", retry_after_ms=10_000) from error
    except UnicodeDecodeError as error:
        raise Transient(f"{path}: not UTF-8; a secret is text", retry_after_ms=10_000) from error


def secret_problem(path: str | None) -> str | None:
    """What is wrong with a secret's file; None: nothing, or there is none."""
    try:
        if path is not None:
            secret(path)
    except Transient as error:
        return str(error)
    return None
