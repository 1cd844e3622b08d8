r"""The frequent lines of sshd in a log of one form, recognised at a glance: for speed alone.

A log's lines mostly have one form of time throughout, and sshd's are mostly of a dozen kinds. An expression
in which the form is literal and names have no spaces reads those in half the time of `sshd.LINE`. It is a
subset recogniser: what it takes, `LINE` takes with the same groups; about everything else it says nothing
(`UNREAD`), and `LINE` reads the line. So a line means the same whichever of the two meets it.

| line | `frequent_line` |
|---|---|
| a frequent kind, an ordinary user name | the groups of `LINE`; (1) is the time up to its seconds |
| one that gives no event: another program's, a session's | the header's groups at most, as `LINE` |
| any other: another form, a rarer kind, a name with a space | group `UNREAD` |

Its time is looked at no closer than that no line without a header begins so: `SECOND` says whether group (1)
is one, once a second.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from producers.filters.sshd import HOST, METHOD, OTHERS

UNREAD: Final = 14
FORM: Final = re.compile(
    rb"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d))"
    rb"(?:([.,])(\d{1,9})|)(Z|[+-]\d\d:?\d\d|) "
)
SECOND: Final = re.compile(rb"[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
"""The part of a time that `sshd.LINE` would read before the fraction."""
THOUSANDTHS: Final = {b"": 0} | {
    b"%0*d" % (digits, number): number * 10 ** (3 - digits)
    for digits in (1, 2, 3)
    for number in range(10**digits)
}
"""A fraction's first digits in milliseconds."""

KEY: Final = rb"(" + HOST + rb" sshd(?:-session|-auth|)\[\d{1,10})\]: "
PEER: Final = rb"[0-9A-Fa-f:.]{2,45} port \d{1,5}"
NAME: Final = rb"[^ \n]{1,64}"
FREQUENT: Final = (
    # The groups of sshd.BODY, in its order.
    rb"(?:[FIACD](ailed " + METHOD + rb" for (?:invalid user |)|nvalid user |ccepted " + METHOD + rb" for "
    rb"|(?:onnection (?:closed|reset) by|isconnected from) (?:authenticating|invalid) user ())"
    rb"(" + NAME + rb")(?(5) | from )(" + PEER + rb")"
    rb"(?(5) \[preauth\]|(?: ssh2(?:: [^ \r\n]+ [^ \r\n]+|)|))"
    rb"|[CDR](onnection (?:closed|reset) by |(?:isconnected from |eceived disconnect from )())"
    rb"(" + PEER + rb")(?(9)(?::\d+: .*|) \[preauth\]|(?: \[preauth\]|))"
    rb"|[pP](?:am_unix\(sshd:auth\): authentication failure|AM \d+ more authentication failures?);"
    rb" logname= uid=0 euid=0 tty=ssh ruser= rhost=([0-9A-Fa-f:.]{2,45}) ?(?: user=([^ \r\n]{1,64})|)"
    # What gives no event: a session, a goodbye of whom sshd let in, a word that none begins with.
    rb"|pam_unix\(sshd:(?:session\): .*|auth\): check pass; user unknown)"
    rb"|Received disconnect from " + PEER + rb":11: disconnected by user"
    rb"|Disconnected from user .*"
    rb"|error: kex_exchange_identification: .*"
    # rare: read by its own expression, as LINE has it.
    rb"|(?:error: |)((?:Disconnecting|Unable|maximum) [^\r\n]*)"
    rb")\n"
)


class Form(NamedTuple):
    """How the times of a log look.

    Attributes:
        iso: ISO 8601, else as RFC 3164 has it.
        separator: what stands before the fraction; empty where there is none.
        digits: of the fraction.
        zone: what stands behind it.
    """

    iso: bool
    separator: bytes
    digits: int
    zone: bytes


def form_of(data: bytes) -> Form | None:
    """The form of the first line; None where it is none of those that syslog daemons write to files."""
    found = FORM.match(data)
    if found is None or (found[1] is None and found[4]):
        return None
    return Form(found[1] is not None, found[2] or b"", len(found[3] or b""), found[4])


@lru_cache(maxsize=16)
def frequent_line(form: Form) -> re.Pattern[bytes]:
    """Any line of a log: of a frequent kind, of none that gives an event, or `UNREAD`."""
    second = rb"[0-9].{3}-.{5}[T ]..:..:.." if form.iso else rb".{3} .. ..:..:.."
    taken = min(form.digits, 3)
    fraction = rb"(\d{%d})\d{%d}" % (taken, form.digits - taken) if taken else rb"()"
    head = rb"(" + second + rb")" + re.escape(form.separator) + fraction + re.escape(form.zone) + rb" "
    return re.compile(head + rb"(?:" + KEY + FREQUENT + rb"|" + OTHERS + rb")|.*(\n)")
