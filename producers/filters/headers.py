r"""What syslog daemons, journalctl and supervisors write before a message, taken off in one place.

| header | written by |
|---|---|
| `Nov 22 09:00:00 HOST prog[1]: `, `<38>` before it, ISO 8601 or Unix time | syslogd, rsyslog, journalctl |
| `Nov 2 ...`, `Nov 22 2026 09:00:00 ...`, `Nov 22 09:00:00 2026 ...`, `2026 Nov 22 ...` | devices, relays |
| the same without a host, with it twice (or its short name), `@vserver_x` | BusyBox -S, relays, vserver |
| `TIME HOST auth.info prog[1]: `, `Sun Nov 22 09:00:00 2026 auth.info prog[1]: ` | BusyBox, OpenWrt |
| `TIME <auth.info> HOST prog[1]: `, `TIME <4.6> HOST ...` | FreeBSD's syslogd -v, -vv |
| `TIME HOST prog[1]: [ID 800047 auth.info] ` | Solaris |
| `TIME auth.info: TIME prog[1]: ` | socklog |
| `<38>1 TIME HOST prog 1 ID [data] `, and without `<38>1` | RFC 5424; sysklogd's files |
| `[    5.123456] HOST prog[1]: ` | journalctl -o short-monotonic |
| `@4000...`, `2026-11-22_09:00:00.12345 `, `2026-11-22 09:00:00.123456789  ` | multilog, svlogd, s6-log |
| `2026-11-22T09:00:00.123456789Z ` | docker logs -t, kubectl logs --timestamps (and Go's services) |
| `[2026-11-22 09:00:00] [info] ` | commons-daemon, before what Tomcat prints |

A line begins with its header, so that nothing a client wrote within the message is ever one. What names no
host or no program is believed where its form leaves no doubt: a colon or a process id behind one word, a
facility and a level that exist, a time as only supervisors write it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
CLOCK: Final = rb"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
PRIORITY: Final = (
    rb"(?:kern|user|mail|daemon|auth(?:priv)?|security|syslog|lpr|news|uucp|cron|ftp|ntp|audit|console"
    rb"|local[0-7])\.(?:emerg|panic|alert|crit|err(?:or)?|warn(?:ing)?|notice|info|debug)"
)
"""A facility and a level, by the names of syslog.conf(5)."""
STAMP: Final = (
    rb"(?:[A-Z][a-z]{2} (?:[ \d]\d|\d) (?:\d{4} )?" + CLOCK + rb"(?: \d{4}\b)?"
    rb"|\d{4} [A-Z][a-z]{2} (?:[ \d]\d|\d) " + CLOCK + rb""
    rb"|\d{4}-\d\d-\d\d[T _]" + CLOCK + rb"(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
    rb"|[A-Z][a-z]{2} \d{4}-\d\d-\d\d " + CLOCK + rb" [A-Z0-9+-]{1,6}"
    rb"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d " + CLOCK + rb"(?: [A-Z]{3,5})? \d{4}"
    rb"|\d{9,11}\.\d{1,9}"
    rb"|@[0-9a-f]{24}"
    rb"|\[ {0,10}\d{1,10}\.\d{1,9}(?: <[ \d.]{3,24}>)?\])"
)
HOST: Final = (
    rb"(?:(?P<label>[^\s.:\[\]\"',;=<>()]{1,63}+)[^\s:\[\]\"',;=<>()]{0,192}"
    rb"|[^\s:\[\]\"',;=<>()]{1,255}"
    rb"|(?=[0-9A-Fa-f.]{0,32}:[0-9A-Fa-f.]{0,32}:)[0-9A-Fa-f:.]{2,45}(?<!:)(?:%[\w.-]{1,16})?)"
)
SYSLOG: Final = re.compile(
    rb"(?:<\d{1,3}>)?(?:(?:" + STAMP + rb" )?" + PRIORITY + rb": )?(?P<time>" + STAMP + rb") {1,2}"
    rb"(?:<(?:" + PRIORITY + rb"|\d{1,2}\.\d)> )?"
    rb"(?:(?P<host>" + HOST + rb") (?:(?:(?P=host)|(?P=label)(?:\.[\w.-]{1,192})?) )?(?:@[\w.-]{1,64} )?)??"
    rb"(?:" + PRIORITY + rb" )?"
    rb"(?P<program>[^\s:\[\](]{1,128}(?:\([^\s()\[\]]{1,255}\)[^\s:\[\](]{0,64})?)"
    rb"(?:\[(?P<pid>\d{1,10})\]:? |: )(?:\[ID \d{1,10} " + PRIORITY + rb"\] )?(?P<text>.*)",
    re.DOTALL,
)
RFC5424: Final = re.compile(
    rb"(?:<\d{1,3}>1 (?P<time>\S{1,40})"
    rb"|(?P<bare>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)))"
    rb" (?P<host>\S{1,255}) (?P<program>(?(time)\S{1,48}|[^\s:\[\]]{1,48})) "
    rb"(?(time)(?P<pid>\S{1,128})|(?P<number>\d{1,10}|-)) "
    rb"\S{1,32} (?:-|(?:\[(?:[^\]\\\"]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: (?P<text>.*))?",
    re.DOTALL,
)
SUPERVISED: Final = re.compile(
    rb"(@[0-9a-f]{24}|\d{4}-\d\d-\d\d[_T]\d\d:\d\d:\d\d\.\d{5}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} ) (.*)",
    re.DOTALL,
)
DOUBTFUL: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)|\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] "
    rb"\[(?:debug|info|warn(?:ing)?|error) *\]) (.*)",
    re.DOTALL,
)
"""A supervisor's time that services write, too: Go's do, and many a service has a level in brackets."""
COLOURS: Final = re.compile(rb"(?:\x1b|#033|(?<!\\)\\(?:033|x1[bB]|u001[bB]))\[[\d;]{0,20}[mK]")
"""A terminal's colours, as they are and as rsyslog, the journal and writers of JSON spell the escape."""
ESCAPES: Final = (b"\x1b[", b"#033[", b"\\033[", b"\\x1b[", b"\\x1B[", b"\\u001b[", b"\\u001B[")


class Header(NamedTuple):
    """A syslog header and what follows it; `host`, `pid`: empty where none is named."""

    time: bytes
    host: bytes
    program: bytes
    pid: bytes
    text: bytes


def syslog_header(line: bytes) -> Header | None:
    """The header that a line begins with, and its message; None when it has none of a program's."""
    found = RFC5424.fullmatch(line)
    if found is None:
        found = SYSLOG.fullmatch(line)
        if found is None:
            return None
        time, pid = found["time"], found["pid"]
    else:
        time, pid = found["time"] or found["bare"], found["pid"] or found["number"]
    host, text = found["host"], (found["text"] or b"").removeprefix(BYTE_ORDER_MARK)
    return Header(time, _named(host), found["program"], _named(pid), text)


class Supervised(NamedTuple):
    """A line and a supervisor's time before it; `doubtful`: unless the service wrote that itself."""

    time: bytes
    line: bytes
    doubtful: bool


def supervised(text: bytes) -> Supervised | None:
    """What a supervisor wrote down; None where no supervisor's time stands before it."""
    found = SUPERVISED.fullmatch(text)
    if found is not None:
        return Supervised(found[1].rstrip(), found[2], doubtful=False)
    found = DOUBTFUL.fullmatch(text)
    return (
        None
        if found is None
        else Supervised(found[1].partition(b"]")[0].lstrip(b"["), found[2], doubtful=True)
    )


def without_colours(line: bytes) -> bytes:
    """A line without the colours that it was to be shown in."""
    coloured = b"[" in line and any(escape in line for escape in ESCAPES)
    return COLOURS.sub(b"", line) if coloured else line


def _named(word: bytes | None) -> bytes:
    """A word that names something: `-` names nothing."""
    return b"" if word is None or word == b"-" else word
