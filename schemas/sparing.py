"""Commands that are asked whom to spare: how their answer stands in an event.

What a jail's `ignorecommand` says of an address is a fact, told by whoever read the line: the event names the
commands that spare it. One that says nothing was not asked, or did not spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import orjson

ADDRESS: Final = "<ip>"
"""In an argument it stands for the address."""
MOST_ARGUMENTS: Final = 32


def command_id(arguments: Sequence[str]) -> str:
    """What events call a command: the first 12 hex digits of the SHA-256 of its arguments as JSON."""
    return sha256(orjson.dumps(list(arguments))).hexdigest()[:12]
