"""What is legal in a configuration and surely not meant: for `config check` and `doctor`.

A file that is not there yet may appear, a network that holds everybody may be ignored: nothing of this is an
error, and nobody writes it on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from itertools import chain
from pathlib import Path
from pwd import getpwnam
from typing import Final, Literal

from banstream.config import Settings
from banstream.jails import JailSettings
from banstream.lists.fetching import read_file
from banstream.lists.formats import WIDEST, Unusable, parse
from banstream.lists.wanted import Wanted
from eventlog.urls import is_shared, sqlite_path
from producers.filters import load_filter
from producers.sources import missing_files
from producers.sources.folders import matching_files

LEAST_MS: Final = 1_000
"""For each failure within findtime."""
FILE: Final = "file:"
SSHD: Final = "sshd"
NO_SHELLS: Final = frozenset({"nologin", "false", "sync"})

Logs = Literal["access", "error"]


def doubts(settings: Settings) -> Iterator[str]:
    """A sentence each, with the key, and with what to do about it."""
    if not settings.jails:
        yield "jail: every jail has enabled = false, so nothing is watched and nobody is banned"
    if settings.jails and all(jail.rules.on == "bans" for jail in settings.jails):
        yield 'jail: every jail has on = "bans", and there is none whose bans it could count'
    for jail in settings.jails:
        yield from (f"jail.{jail.rules.name}.{said}" for said in _of_jail(jail))
    yield from _of_lists(settings.wanted())
    yield from _of_networks("enforcer.never_ban", settings.enforcer.never_ban)
    yield from _of_enforcer(settings)
    yield from _of_log(settings)


def _of_jail(jail: JailSettings) -> Iterator[str]:
    for source in jail.sources:
        yield from (f"source: {missing}" for missing in missing_files(source))
    yield from _of_decoys(jail)
    yield from _of_kinds_of_logs(jail)
    yield from _of_networks("ignoreip", jail.rules.ignoreip)
    if "succeeded" in jail.rules.kinds:
        yield 'kinds: "succeeded" counts logins that went well, so users are banned for logging in'
    if jail.rules.findtime_ms < LEAST_MS * jail.rules.maxretry:
        yield (
            f"findtime: {jail.rules.findtime_ms / 1_000:g} s for {jail.rules.maxretry} failures is more than "
            'one a second; a bare number is seconds, and "10m" ten minutes'
        )


def _of_decoys(jail: JailSettings) -> Iterator[str]:
    """Who can log in here is banned by his first typing error."""
    if SSHD not in jail.rules.filters:
        return
    for name in jail.rules.decoy_users:
        with suppress(KeyError, ValueError):
            if getpwnam(name).pw_shell.rpartition("/")[2] not in NO_SHELLS:
                yield f"decoy_users: {name} is a user of this machine, and is banned by one wrong password"


def _of_networks(key: str, prefixes: tuple[str, ...]) -> Iterator[str]:
    for prefix in prefixes:
        network = ip_network(prefix)
        if network.prefixlen < WIDEST[network.version]:
            yield f"{key}: {prefix} holds so many addresses that hardly anybody can be banned"


def _of_lists(lists: tuple[Wanted, ...]) -> Iterator[str]:
    """Files that cannot be read now, or hold what is no address; nobody is asked about the others."""
    for wanted in lists:
        if not wanted.place.startswith(FILE):
            continue
        try:
            content = parse(read_file(wanted.place.removeprefix(FILE), wanted.most_bytes), wanted)
        except Unusable as error:
            yield f"{wanted.place}: {error}: nobody is {'banned' if wanted.bans else 'spared'} by it"
        else:
            yield from (f"{wanted.place}: {example}; it is left out" for example in content.examples)


def _of_kinds_of_logs(jail: JailSettings) -> Iterator[str]:
    """A web server's filters read its error log or its access log; the other is read in vain."""
    found = {
        source: [str(file) for file in matching_files(source.removeprefix(FILE))] or [source]
        for source in jail.sources
        if source.startswith(FILE)
    }
    if jail.auto or not any(map(_kind_of, chain.from_iterable(found.values()))):
        return
    for name in jail.rules.filters:
        reads = {kind for spec in load_filter(name).sources if (kind := _kind_of(spec))}
        for files in found.values() if reads else ():
            vain = sorted(file for file in files if (kind := _kind_of(file)) and kind not in reads)
            if vain:
                yield (
                    f"source: filter {name} reads {' and '.join(sorted(reads))} logs, and finds nothing in "
                    f"{Path(vain[0].removeprefix(FILE)).name}; `banstream filters list {_kind_of(vain[0])}` "
                    "names those that do"
                )


def _kind_of(source: str) -> Logs | None:
    """Whether a file's name says that it is an access log or an error log."""
    name = source.rpartition("/")[2]
    kinds: tuple[Logs, ...] = ("access", "error")
    return next((kind for kind in kinds if kind in name), None)


def _of_enforcer(settings: Settings) -> Iterator[str]:
    enforcer = settings.enforcer
    if enforcer.backend == "null":
        yield 'enforcer.backend: "null" only observes: nobody is kept out'
    known = {jail.rules.name for jail in settings.jails}
    if not is_shared(settings.log_url) and (unknown := sorted(set(enforcer.jails) - known)):
        yield f"enforcer.jails: there is no jail {', '.join(unknown)}, so its bans are none"


def _of_log(settings: Settings) -> Iterator[str]:
    if is_shared(settings.log_url):
        return
    folder = sqlite_path(settings.log_url).absolute().parent
    if not folder.exists() and not folder.parent.exists():
        yield f"log.url: {folder}: no such folder, nor the one it is in; `banstream up` makes both"
