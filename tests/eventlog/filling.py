"""What fills a log: bytes that cannot be packed into fewer."""

from __future__ import annotations

from functools import cache
from random import Random


@cache
def noise(size_bytes: int) -> bytes:
    """So many bytes, the same each time; the first is no mark of anything."""
    return b"~" + Random(size_bytes).randbytes(size_bytes - 1)
