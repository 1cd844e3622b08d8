"""The sshd filter: what OpenSSH 7 to 10 and its PAM stack log about logins, and what each line means.

Written from OpenSSH's source (auth.c, auth2.c, auth-pam.c, packet.c, sshd.c, sshd-session.c, log.c) and from
what real servers log. Words say the class of a line (producers.filters.connections); what follows has one of
these shapes:

| shape | after the words | of |
|---|---|---|
| login | `USER from ADDRESS port N[ ssh2]` | Failed, Accepted, Invalid user |
| leave | `USER ADDRESS port N [preauth]` | closed, reset, disconnected, with a user |
| bare | `ADDRESS port N[:...] [preauth]` | closed, reset, disconnected, without a user |
| pam | `... rhost=ADDRESS  user=USER` | pam_unix and other modules, PAM's summary |
| rare | each its own expression, found by its first word | everything else |

Whoever logs in chooses the user name, the client's version and its reasons. So a line is read whole, from its
first byte to its last: where free text comes before the address, what follows the address is fixed and ends
the line; where free text follows it, nothing free comes before. A user name may thus hold a false address,
but the one that counts stands where sshd itself puts it. sshd cuts user names (at 100 bytes, in `leave` at
187) and then the whole message for syslog(3) (at 500), after escaping, which makes a byte four. So the bounds
on user names here are such that a cut message never matches: its true end is gone, its text may pose as it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from producers.filters.bounds import compiled
from producers.filters.connections import (
    CLOSED,
    EXCEEDED,
    INTERACTIVE,
    INVALID,
    KEY,
    NONE,
    PAM,
    PASSWORD,
    PROBE,
    REFUSED,
    SUCCESS,
)
from producers.filters.rows import Needle, Needles
from producers.stamps import TIME

Step = tuple[int, bool]
"""(class, whether the connection is over)"""

METHODS: Final = {
    "password": (PASSWORD, PASSWORD),
    "none": (PROBE, NONE),
    "publickey": (PROBE, KEY),
    "hostbased": (PROBE, KEY),
    "gssapi-with-mic": (PROBE, KEY),
    "gssapi-keyex": (PROBE, KEY),
    "keyboard-interactive": (INTERACTIVE, INTERACTIVE),
    "keyboard-interactive/pam": (INTERACTIVE, INTERACTIVE),
    "keyboard-interactive/bsdauth": (INTERACTIVE, INTERACTIVE),
}
"""A failed method's class, of a valid user and of an invalid one. Every client tries `none` first, and an
agent all its keys: of a valid user these alone are no failed login."""

STEPS: Final[dict[bytes, Step]] = {
    b"Invalid user ": (INVALID, False),
    **{f"Failed {name} for ".encode(): (codes[0], False) for name, codes in METHODS.items()},
    **{f"Failed {name} for invalid user ".encode(): (codes[1], False) for name, codes in METHODS.items()},
    **{f"Accepted {name} for ".encode(): (SUCCESS, False) for name in METHODS},
    **{
        f"{verb} {who} user ".encode(): (CLOSED, True)
        for verb in ("Connection closed by", "Connection reset by", "Disconnected from")
        for who in ("authenticating", "invalid")
    },
    b"Connection closed by ": (PROBE, True),
    b"Connection reset by ": (PROBE, True),
    b"Disconnected from ": (PROBE, True),
    b"Received disconnect from ": (PROBE, False),
}
"""What the words of the frequent shapes mean."""
STEPS_BY_TAIL: Final = {words[1:]: step for words, step in STEPS.items()}
"""As STEPS, the words without their first letter, as BODY captures them."""

ADDRESS: Final = rb"[0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,16})?|UNKNOWN|[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}"
PEER: Final = rb"[0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,16}|) port \d{1,5}"
METHOD: Final = (
    rb"(?:password|none|publickey|keyboard-interactive(?:/pam|/bsdauth|)|hostbased|gssapi-(?:with-mic|keyex))"
)

HEAD: Final = rb"(?:<\d{1,3}>(?:1 |)|)(" + TIME + rb")() "
HOST: Final = rb"[^ \n\"',;=<>()\[\]:]++"
PROGRAM: Final = (
    rb"(" + HOST + rb" sshd(?:-session|-auth|)[\[ ]\d{1,10})"
    rb"(?:\]: | [^ \n]{1,32} (?:-|(?:\[(?:[^\]\\\n]|\\.)*\])+) (?:\xef\xbb\xbf|))"
)
HEADER: Final = HEAD + PROGRAM
"""(1) the time, (2) empty, (3) `HOST PROGRAM[PID`, of RFC 3164, RFC 5424 and their like."""
OTHERS: Final = HOST + rb" (?!sshd|docker|[0-9a-f]{12})[^ \n\[\]:(]++(?:\[\d{1,10}\]|): .*\n"
"""What follows the time in a line of another program's, in the most frequent form."""
PROGRAMS: Final = frozenset({b"sshd", b"sshd-session", b"sshd-auth"})


@dataclass(frozen=True)
class Rare:
    """A line too rare for the common expression: its class, whether it ends the connection, its text."""

    code: int
    over: bool
    source: bytes

    @cached_property
    def text(self) -> re.Pattern[bytes]:
        """Groups `peer` (`ADDRESS port N`) or `address`, and `user` where there is one."""
        return compiled(self.source)


def _rare(code: int, text: bytes, *, over: bool = False) -> Rare:
    for name, expression in (
        (b"{peer}", b"(?P<peer>" + PEER + b")"),
        (b"{address}", b"(?P<address>" + ADDRESS + b")"),
        (b"{user}", b"(?P<user>.{0,400})"),
        (b"{longuser}", b"(?P<user>.{0,380})"),
        (b"{name}", rb"[\w.:%-]{1,255}"),
        (b"{key}", rb"\S+ \S+"),
    ):
        text = text.replace(name, expression)
    return Rare(code, over, text)


NOT_ALLOWED: Final = (
    rb"(?:not listed in AllowUsers|listed in DenyUsers|not in any group|account is locked"
    rb"|none of user's groups are listed in AllowGroups|a group is listed in DenyGroups"
    rb"|shell \S+ (?:does not exist|is not executable))"
)
NO_FROM: Final = rb"(?P<user>(?:(?! from ).){0,400})"
"""A user name before a certificate's key id, which is free text as well: with ` from ` in either, nobody can
say which address is sshd's, and the line is left to the others of its connection."""

HOSTBASED: Final = (
    rb' from {peer} ssh2: {key}, client user "(?:(?! from ).){0,400}", client host "(?:(?! from ).){0,400}"'
)
"""The host and the user whom a client names for himself, of whom neither holds ` from `, either."""

RARES: Final = (
    _rare(SUCCESS, rb"Accepted [a-z/-]{1,40} for {user} from {peer} ssh2(?:: {key})?"),
    _rare(SUCCESS, rb"Accepted publickey for " + NO_FROM + rb" from {peer} ssh2: (?:(?! from ).)+"),
    _rare(KEY, rb"Failed [^ ]{1,64} for invalid user {user} from {peer} ssh2(?:: {key})?"),
    _rare(KEY, rb"Failed publickey for invalid user " + NO_FROM + rb" from {peer} ssh2: (?:(?! from ).)+"),
    _rare(PROBE, rb"Failed [^ ]{1,64} for (?!invalid user ){user} from {peer} ssh2(?:: {key})?"),
    _rare(KEY, rb"Failed hostbased for invalid user " + NO_FROM + HOSTBASED),
    _rare(PROBE, rb"Failed hostbased for (?!invalid user )" + NO_FROM + HOSTBASED),
    _rare(
        PROBE, rb"Failed publickey for (?!invalid user )" + NO_FROM + rb" from {peer} ssh2: (?:(?! from ).)+"
    ),
    _rare(INVALID, rb"Invalid user {user} from {address}"),
    _rare(INVALID, rb"Illegal user {user} from {address}"),
    _rare(
        EXCEEDED,
        rb"maximum authentication attempts exceeded for (?:invalid user )?{user} from {peer}"
        rb"(?: ssh2)?(?: \[preauth\])?",
    ),
    _rare(
        EXCEEDED,
        rb"Too many authentication failures for (?:invalid user )?{user} from {peer} ssh2(?: \[preauth\])?",
    ),
    _rare(
        CLOSED,
        rb"Disconnecting (?:authenticating|invalid) user {longuser} {peer}: "
        rb"Too many authentication failures \[preauth\]",
        over=True,
    ),
    _rare(
        CLOSED,
        rb"Disconnecting (?:authenticating|invalid) user (?P<user>(?:(?! port ).){0,380}) {peer}: "
        rb"(?:(?! port ).)+(?<= \[preauth\])",
        over=True,
    ),
    _rare(PROBE, rb"Disconnecting {peer}: .*+", over=True),
    _rare(REFUSED, rb"User {user} from {address} not allowed because " + NOT_ALLOWED),
    _rare(REFUSED, rb"ROOT LOGIN REFUSED FROM {peer}(?: \[preauth\])?"),
    _rare(REFUSED, rb"ROOT LOGIN REFUSED FROM {address}"),
    _rare(
        PAM,
        rb"PAM: [A-Za-z][A-Za-z ,']{1,120} for (?:illegal user |invalid user )?{user} from {address}"
        rb"(?: via [0-9A-Fa-f:.]{2,45})?",
    ),
    _rare(PROBE, rb"Connection (?:closed|reset) by {address}(?: \[preauth\])?", over=True),
    _rare(PROBE, rb"Received disconnect from {address}: \d+: .*+(?<= \[preauth\])"),
    _rare(PROBE, rb"Unable to negotiate with {peer}: .*+"),
    _rare(PROBE, rb"Unable to negotiate with {address}: .*+"),
    _rare(PROBE, rb"ssh_dispatch_run_fatal: Connection from {peer}: .*+"),
    _rare(
        PROBE,
        rb"ssh_dispatch_run_fatal: Connection from (?:authenticating|invalid) user {longuser} {peer}: "
        rb"[A-Za-z :,]+ \[preauth\]",
    ),
    _rare(PROBE, rb"banner exchange: Connection from {peer}: .*+"),
    _rare(PROBE, rb"Did not receive identification string from {peer}"),
    _rare(PROBE, rb"Did not receive identification string from {address}"),
    _rare(PROBE, rb"Bad protocol version identification '.{0,380}' from {peer}"),
    _rare(PROBE, rb"Bad protocol version identification '.{0,380}' from {address}"),
    _rare(PROBE, rb"Protocol major versions differ for {peer}: .*+"),
    _rare(PROBE, rb"Timeout before authentication for {peer}\.?"),
    _rare(PROBE, rb"Timeout before authentication for {address}"),
    _rare(PROBE, rb"Timeout before authentication for connection from {address} to \S+?, pid = \d+"),
    _rare(PROBE, rb"drop connection #\d+ from \[(?P<address>[0-9A-Fa-f:.%\w]{2,62})\]:\d+ on .*+"),
    _rare(PROBE, rb"refused connect from .{1,400} \((?P<address>[0-9A-Fa-f:.]{2,45})\)"),
    _rare(PROBE, rb"refused connect from {address}"),
    _rare(
        PROBE,
        rb"reverse mapping checking getaddrinfo for {name} \[(?P<address>[0-9A-Fa-f:.]{2,45})\] failed"
        rb"(?:\.| - POSSIBLE BREAK-IN ATTEMPT!)",
    ),
    _rare(PROBE, rb"Address {address} maps to {name}, but this does not map back to the address\.?.*+"),
    _rare(PROBE, rb'Nasty PTR record "{name}" is set up for {address}, ignoring'),
    _rare(
        PROBE,
        rb"Authentication tried for {user} with correct key but not from a permitted host "
        rb"\(host={name}, ip=(?P<address>[0-9A-Fa-f:.]{2,45})(?:, required=[^()]*)?\)\.?",
    ),
)


RARE_BY_WORD: Final[dict[bytes, list[Rare]]] = {
    word: [rare for rare in RARES if rare.source.split(b" ")[0] == word]
    for word in sorted({rare.source.split(b" ")[0] for rare in RARES} | {b"message", b"[ID"})
}
"""The rare lines by the word they begin with, which is literal in each; `[ID` is Solaris' header."""
REPEATED: Final = re.compile(rb"message repeated (\d{1,4}) times: \[ (.{1,8000})\]")
"""rsyslog's and syslogd's short form of equal messages."""
BODY: Final = (
    rb"(?:error: |fatal: |)(?:"
    # login, leave: (4) words but their first letter, (5) empty if leave's, (6) user, (7) peer
    rb"[FIACD](ailed " + METHOD + rb" for (?:invalid user |)|nvalid user |ccepted " + METHOD + rb" for "
    rb"|(?:onnection (?:closed|reset) by|isconnected from) (?:authenticating|invalid) user ())"
    rb"((?(5).{0,380}?|.{0,400}?))(?(5) | from )(" + PEER + rb")"
    rb"(?(5) \[preauth\]|(?: ssh2(?:: \S+ \S+|)|))"
    # bare: (8) words but their first letter, (9) empty if they need [preauth], (10) peer
    rb"|[CDR](onnection (?:closed|reset) by |(?:isconnected from |eceived disconnect from )())"
    rb"(" + PEER + rb")(?(9)(?::\d+: .*|) \[preauth\]|(?: \[preauth\]|))"
    # pam: (11) address, (12) user
    rb"|[pP](?:am_[a-z0-9_]+\(sshd:auth\): authentication failure|AM \d+ more authentication failures?);"
    rb" logname=\S* uid=\d+ euid=\d+ tty=\S* ruser=\S* rhost=(\S*) ?(?: user=(.{0,400}?)|)"
    # rare: (13) all of it
    rb"|((?:" + b"|".join(map(re.escape, RARE_BY_WORD)) + rb") .*?)"
    rb"|.*)\r?\n"
)
"""What follows the header. Two habits are for speed alone: an alternative begins with a letter or a set of
them (the engine passes over it at a glance, which a group at its start would prevent), and what may be absent
is `(?:text|)` (a branch is cheaper than a repeat)."""
HEADER_GROUPS, RARE = 3, 13

NEEDLES: Final[Needles] = frozenset(
    Needle(text)
    for text in (
        b"Failed ", b"Invalid user ", b"Illegal user ", b"Accepted ", b"Connection closed by ",
        b"Connection reset by ", b"Disconnected from ", b"Received disconnect from ", b"Disconnecting ",
        b"uthentication failure", b"uthentication attempts exceeded", b"not allowed because ",
        b"ROOT LOGIN REFUSED ", b"PAM: ", b"Unable to negotiate ", b"ssh_dispatch_run_fatal: ",
        b"banner exchange: ", b"Did not receive identification ", b"Bad protocol version ",
        b"Protocol major versions ", b"Timeout before authentication ", b"drop connection #",
        b"refused connect from ", b"reverse mapping checking ", b" maps to ", b"Nasty PTR record ",
        b"Authentication tried for ",
    )
)  # fmt: skip
"""Every line that can give an event holds one of these, whatever header stands before it."""

LINE: Final = re.compile(HEAD + rb"(?:" + PROGRAM + BODY + rb"|" + OTHERS + rb")|.*(\n)")
"""Any line: with the header's groups at most it gives no event; (14) is of a rarer form."""
KEYED_LINE: Final = re.compile(
    rb"()()([^ \n]{1,255} sshd(?:-session|-auth|)\[\d{1,10})\]: " + BODY + rb"|(?!)()"
)
"""A message behind its connection's key, with the same groups."""
LEFT: Final = re.compile(rb"Disconnected from user .{0,380} (?P<peer>" + PEER + rb")\r?\n")
"""How a session ends that had succeeded; only where no process id tells connections apart does it matter."""
HEADLESS_LINE: Final = re.compile(rb"()()()" + BODY + rb"|(?!)()")
"""A line without a header, with the same groups."""
