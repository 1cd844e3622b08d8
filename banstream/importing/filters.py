"""Which filter a jail of fail2ban's has here: a native one that reads the same, else the installed one.

NATIVE names the filters of the library that find what fail2ban's find in the library's own samples, which the
tests ask fail2ban's code. What is set in the jail, in a `.local` or in a `.d` beside the filter is no longer
the filter that was compared: then the installed one is named, with its options.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banstream.importing.installation import FILTERS, Installation
from producers.filters.fail2ban.definition import OPTIONS, Unresolved, value_of
from producers.filters.fail2ban.files import (
    Specification,
    Text,
    parse_specification,
    read_text,
)
from producers.library import FAIL2BAN_FOLDER, library_names
from schemas.bounds import NAME_CHARACTERS

NATIVE: Final[Mapping[tuple[str, str], str]] = {
    ("apache-modsecurity", ""): "modsecurity",
    ("apache-overflows", ""): "apache-overflows",
    ("centreon", ""): "centreon",
    ("courier-auth", ""): "courier",
    ("dovecot", ""): "dovecot",
    ("dropbear", ""): "dropbear",
    ("drupal-auth", ""): "drupal",
    ("ejabberd-auth", ""): "ejabberd",
    ("freeswitch", ""): "freeswitch",
    ("grafana", ""): "grafana",
    ("horde", ""): "horde",
    ("kerio", ""): "kerio",
    ("lighttpd-auth", ""): "lighttpd",
    ("monit", ""): "monit",
    ("mssql-auth", ""): "mssql",
    ("murmur", ""): "mumble",
    ("mysqld-auth", ""): "mysql",
    ("nagios", ""): "nrpe",
    ("nginx-http-auth", ""): "nginx",
    ("nginx-limit-req", ""): "nginx-limit-req",
    ("nsd", ""): "nsd",
    ("pam-generic", ""): "pam",
    ("phpmyadmin-syslog", ""): "phpmyadmin",
    ("portsentry", ""): "portsentry",
    ("postfix", "mode=auth"): "postfix",
    ("proftpd", ""): "proftpd",
    ("pure-ftpd", ""): "pureftpd",
    ("roundcube-auth", ""): "roundcube",
    ("slapd", ""): "slapd",
    ("softethervpn", ""): "softether",
    ("sogo-auth", ""): "sogo",
    ("squid", ""): "squid",
    ("sshd", ""): "sshd",
    ("suhosin", ""): "suhosin",
    ("uwimap-auth", ""): "uwimap",
    ("webmin-auth", ""): "webmin",
    ("xinetd-fail", ""): "xinetd",
    ("znc-adminlog", ""): "znc",
    ("zoneminder", ""): "zoneminder",
}
"""By fail2ban's filter, and the options that are not as usual: its name here."""
IN_JAILS: Final = ("failregex", "ignoreregex", "prefregex", "datepattern", "maxlines")
"""Keys of a filter that a jail may set over it; the others are a jail's own here."""
RECIDIVE: Final = "recidive"
PLAIN: Final = re.compile(r"[\w.:/+-]+")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A jail's filter.

    Attributes:
        name: as `filter` in the configuration has it.
        stem: fail2ban's name of it.
        given: the options that are not the filter's own default.
        native: whether it is one of the library.
        kept_why: why the installed one, where the library has another of that name; empty: it has none.
        dropped: what the jail sets of the filter's own keys and cannot be said in `filter`.
    """

    name: str
    stem: str
    given: Mapping[str, str]
    specification: Specification
    native: bool = False
    kept_why: str = ""
    dropped: tuple[str, ...] = ()


def choose(installation: Installation, jail: str, text: str) -> Chosen:
    """The filter for a jail whose `filter` is this text. Raises ConfigError: there is none such."""
    named = parse_specification(text, installation.filters)
    files = read_text(named)
    over = _set_over(installation, jail, files)
    options = {**named.options, **over}
    given = {key: value for key, value in options.items() if not _is_usual(files, key, value)}
    stem = named.path.stem
    listed = ", ".join(f"{key}={value}" for key, value in given.items())
    native = NATIVE.get((stem, listed))
    changed = [path.name for path in files.files if _is_local(path)]
    if native is not None and not changed:
        return Chosen(native, stem, given, named, native=True)
    if native is not None:
        why = f"{', '.join(changed)} changes it"
    elif (stem, "") in NATIVE:
        why = f"the library's has no {', '.join(given)}"
    else:
        why = ""
    dropped = (
        ()
        if _can_be_said(given.values()) and len(_spelt(named.path, given)) <= NAME_CHARACTERS
        else tuple(over)
    )
    for key in dropped:
        given.pop(key, None)
    return Chosen(_spelt(named.path, given), stem, given, named, kept_why=why, dropped=dropped)


def journal_match(installation: Installation, jail: str, chosen: Chosen) -> str:
    """What a jail asks the journal for, its own `journalmatch` or its filter's; empty: all of it."""
    own = installation.value(jail, "journalmatch")
    if own is None:
        try:
            own = value_of(read_text(chosen.specification), "Definition", "journalmatch")
        except Unresolved:
            own = None
    lines = [line.strip() for line in (own or "").splitlines()]
    return " + ".join(filter(None, lines))


def _set_over(installation: Installation, jail: str, files: Text) -> dict[str, str]:
    """What a jail sets of its filter's own keys."""
    known = {f"known/{key}": _text(files, key) for key in IN_JAILS}
    found = {key: installation.value(jail, key, known) for key in IN_JAILS}
    return {key: value for key, value in found.items() if value}


def _text(files: Text, key: str) -> str:
    try:
        return value_of(files, "Definition", key) or ""
    except Unresolved:
        return ""


def _is_usual(files: Text, key: str, value: str) -> bool:
    """Whether an option changes nothing: it is the filter's own default, or its text never asks for it."""
    for section in ("Init", "Definition"):
        try:
            if value_of(files, section, key) == value:
                return True
        except Unresolved:
            continue
    asked = (f"<{key}>", f"%({key})s")
    texts = [text for options in files.sections.values() for text in options.values()]
    return key not in OPTIONS and not any(each in text for text in texts for each in asked)


def _is_local(path: Path) -> bool:
    return path.suffix == ".local" or (path.parent.suffix == ".d" and path.parent.name != FILTERS)


def _spelt(path: Path, given: Mapping[str, str]) -> str:
    """A filter of fail2ban's as `filter` names it: by its name where it is installed, else by its path."""
    short = path.parent == FAIL2BAN_FOLDER and (given or path.stem not in library_names())
    listed = ", ".join(f"{key}={_quoted(value)}" for key, value in given.items())
    return (path.stem if short else str(path)) + (f"[{listed}]" if listed else "")


def _quoted(value: str) -> str:
    if PLAIN.fullmatch(value):
        return value
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"


def _can_be_said(texts: Iterable[str]) -> bool:
    """Whether a text can stand in quotes, of one kind or the other."""
    return not any('"' in text and "'" in text for text in texts)
