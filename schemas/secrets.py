"""What may be shown of a url: never a password, wherever whoever wrote it has put one."""

from __future__ import annotations

import re
from typing import Final

SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")
OPTION: Final = re.compile(r"([?&;][\w.-]*(?:pass|pwd|secret|token)[\w.-]*(?<!_file)=)[^&;]*", re.IGNORECASE)
HIDDEN: Final = "***"


def hidden(url: str) -> str:
    """A url without what stands before its last `@` (RFC 3986's userinfo), and without secret options."""
    before, at, after = url.rpartition("@")
    scheme = SCHEME.match(before)
    shown = f"{scheme[0] if scheme else ''}{HIDDEN}@{after}" if at else url
    return OPTION.sub(rf"\1{HIDDEN}", shown)
