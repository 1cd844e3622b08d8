"""What every role does as it starts: say what it was given, and answer for its metrics if it is to."""

from __future__ import annotations

from collections.abc import Sequence
from logging import getLogger
from typing import Final

from banstream.authority import caution
from banstream.config import Settings
from banstream.loop import Listener
from banstream.waiting import status_of
from eventlog.urls import is_shared, url_warning
from schemas.prefixes import PrefixSet

MOST_SHOWN: Final = 4
"""`status --json` has all."""

log = getLogger("banstream")


def say_settings(settings: Settings) -> None:
    """Say where the configuration is from, which log it names, and what is to be said against that."""
    log.info("Configuration files=%s log=%s", settings.origin, settings.log_url)
    warning = url_warning(settings.log_url)
    if warning is not None:
        log.warning("The event log is not protected on its way reason=%s", warning)
    if not is_shared(settings.log_url) and (own := caution(settings)) is not None:
        log.warning("Nothing that this machine reads counts reason=%s", own)


def say_waiting(settings: Settings, version: str | None = None) -> None:
    """Say which jails wait, and loudly where none is left; `version`: of the rules in force."""
    for waiting in settings.waiting:
        status = status_of(waiting, version)
        log.error("A jail waits what=%s", status.said)
    if settings.waiting and not settings.jails:
        log.error("NOTHING IS PROTECTED: every jail waits jails=%d", len(settings.waiting))


def say_wrong(settings: Settings) -> None:
    """Say which jails are wrong, for who follows the rules in force whatever this configuration says."""
    for waiting in settings.waiting:
        for problem in waiting.problems:
            log.warning(
                "A jail is wrong, and the rules in force are followed all the same problem=%s", problem
            )


def say_missing(settings: Settings) -> None:
    """Warn of sources from which nothing can come yet: a file that is not there, a journal nobody keeps."""
    from producers.sources import missing_files

    for source in dict.fromkeys(source for jail in settings.jails for source in jail.sources):
        for missing in missing_files(source):
            log.warning("Nothing is read there yet reason=%s", missing)


def say_never_banned(entries: Sequence[str]) -> None:
    """Say what the enforcer never bans, `10.0.0.0/8 (operator)` each: shortly what is this machine's own."""
    from enforcers.safety import ALWAYS

    always = PrefixSet(ALWAYS)
    own = [entry for entry in entries if always.covering(entry.partition(" ")[0]) is None]
    own.sort(key=lambda entry: "(operator)" not in entry)
    shown = ", ".join(own[:MOST_SHOWN]) or "none of its own"
    log.info("Never banned prefixes=%s more=%d", shown, len(entries) - len(own[:MOST_SHOWN]))


def listener(settings: Settings, nth: int = 0) -> Listener | None:
    """The endpoint that `[metrics] listen` asks for, `nth` ports further on; None where it asks for none.

    Raises LogError.
    """
    if settings.metrics.listen is None:
        return None
    from banstream.metrics import Metrics

    host, port = settings.metrics.listen
    return Metrics(host, port + nth)
