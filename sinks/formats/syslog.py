r"""Syslog of RFC 5424, with structured data: what a receiver has parsed before anybody wrote a rule for it.

In a value `"`, `\` and `]` are escaped; what could end a line or steer a terminal is written as its escape.
Where a message is too long for a receiver, its text is cut, and never its structured data.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.steering import printable
from sinks.contract import FormatKind, Item, Option, Options, SentBy, Writing
from sinks.facts import FlatFacts, facts_of, severity_of
from sinks.sentences import rfc3339

FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
)  # fmt: skip
ESCAPED: Final = re.compile(r'(["\\\]])')
UNSAFE: Final = re.compile(r"[^!-~]")
LONGEST: Final = 8_192
SHORTEST: Final = 480
LEFT_OUT: Final = frozenset({"at", "message", "host"})
"""What stands elsewhere in the message."""


def writer(sender: SentBy, options: Options) -> Writing:
    """The function from an item to its message."""
    facility = FACILITIES.index(options["facility"]) * 8
    most, pen = max(options["longest"], SHORTEST), options["pen"]
    origin = f'[origin software="banstream" swVersion="{escaped(sender.version)}"]'

    def write(item: Item) -> bytes:
        facts = facts_of(item)
        head = header(item, facility, str(facts.get("host") or sender.host))
        given = " ".join(
            f'{name}="{escaped(str(value))}"' for name, value in facts.items() if name not in LEFT_OUT
        )
        begin = f"{head} {origin}[banstream@{pen} {given}] ".encode("utf-8", "replace")
        text = _message(facts).encode("utf-8", "replace")[: max(0, most - len(begin))]
        return begin + text.decode("utf-8", "ignore").encode("utf-8")

    return write


def header(item: Item, facility: int, host: str) -> str:
    """A message up to its structured data, for anything that is to go by syslog."""
    at_ms = getattr(item.record, "at_ms", 0)
    name = UNSAFE.sub("-", host)[:255] or "-"
    word = UNSAFE.sub("_", item.happening)[:32]
    return f"<{facility + severity_of(item).syslog}>1 {rfc3339(at_ms)} {name} banstream - {word}"


def escaped(text: str) -> str:
    """A value within the quotes of structured data."""
    return ESCAPED.sub(r"\\\1", printable(text))


def _message(facts: FlatFacts) -> str:
    return printable(str(facts["message"]))


KIND: Final = FormatKind(
    writer,
    options={
        "facility": Option("text", "authpriv", FACILITIES),
        "longest": Option("whole", LONGEST),
        "pen": Option("whole", 32473),
    },
)
