"""What the fields of records may hold: bounds that writers keep to and that every reader checks.

Whoever may write events may write any number and any text. Within these bounds what is computed from them is
exact everywhere, and what is remembered of them is small.

| type | bound | why |
|---|---|---|
| InstantMs | the year 9999 | the last that has a date: RFC 3339, `datetime`; below 2**48 |
| ToldMs | two durations before that | told by a producer or an operator, a ban's end is computed from it |
| DurationMs | a thousand years | beyond it somebody meant for ever |
| Position | 2**53 - 1 | a byte's place in a log: 8 PiB; the last that is exact as a double, in JavaScript |
| Offset | from -1 to the same | a message's place in a partition; -1 is before the first |
| Name | 256 characters | what things are told apart by, remembered by the ten thousand |
| ShortText | 1,024 characters | what people read: a line, a user, a reason |
| Statement | 4,096 characters | what a program says: why it failed, what it could not read |
| CountryCode | 2 characters | ISO 3166-1 |
| AsNumber | 32 bits | RFC 6793 |
| Times | a million | requests of one address in one second |
| ListParts | 256 | of a list; each holds 8,192 prefixes at most, half a MiB |
| Labels | 32 of them | each a name and a value, as long as names |

Texts are measured in characters, as JSON Schema does: 256 of them are 1,024 bytes of UTF-8 at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

LAST_INSTANT_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""
LONGEST_MS: Final = 1_000 * 31_557_600_000
"""A thousand years of 365.25 days."""
LAST_TOLD_MS: Final = LAST_INSTANT_MS - 2 * LONGEST_MS
MOST_POSITION: Final = 2**53 - 1
MOST_PORT: Final = 65_535
MOST_RETRY: Final = 10_000
MOST_SUBJECTS: Final = 100_000_000
NAME_CHARACTERS: Final = 256
TEXT_CHARACTERS: Final = 1_024
STATEMENT_CHARACTERS: Final = 4_096
MOST_LABELS: Final = 32
MOST_PARTS: Final = 256
MOST_TIMES: Final = 1_000_000
MOST_OF_A_PART: Final = 8_192

InstantMs = Annotated[int, Meta(ge=0, le=LAST_INSTANT_MS)]
ToldMs = Annotated[int, Meta(ge=0, le=LAST_TOLD_MS)]
DurationMs = Annotated[int, Meta(ge=0, le=LONGEST_MS)]
DelayMs = Annotated[int, Meta(ge=-LAST_INSTANT_MS, le=LAST_INSTANT_MS)]
"""Between the clocks of two machines: either may be behind."""
Position = Annotated[int, Meta(ge=0, le=MOST_POSITION)]
Offset = Annotated[int, Meta(ge=-1, le=MOST_POSITION)]
PartNumber = Annotated[int, Meta(ge=0, le=MOST_PARTS - 1)]
ListParts = Annotated[int, Meta(ge=1, le=MOST_PARTS)]
Port = Annotated[int, Meta(ge=0, le=MOST_PORT)]
Name = Annotated[str, Meta(max_length=NAME_CHARACTERS)]
ShortText = Annotated[str, Meta(max_length=TEXT_CHARACTERS)]
CountryCode = Annotated[str, Meta(max_length=2)]
AsNumber = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Times = Annotated[int, Meta(ge=1, le=MOST_TIMES)]
Statement = Annotated[str, Meta(max_length=STATEMENT_CHARACTERS)]
Labels = Annotated[Mapping[Name, Name], Meta(max_length=MOST_LABELS)]
