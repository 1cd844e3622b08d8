"""What every role does as it starts: say what it was given, and answer for its metrics if it is to."""

from __future__ import annotations

from logging import getLogger

from banstream.authority import caution
from banstream.config import Settings
from banstream.loop import Listener
from eventlog.urls import is_shared, url_warning

log = getLogger("banstream")


def say_settings(settings: Settings) -> None:
    """Say where the configuration is from, which log it names, and what is to be said against that."""
    log.info("Configuration files=%s log=%s", settings.origin, settings.log_url)
    warning = url_warning(settings.log_url)
    if warning is not None:
        log.warning("The event log is not protected on its way reason=%s", warning)
    if not is_shared(settings.log_url) and (own := caution(settings)) is not None:
        log.warning("Nothing that this machine reads counts reason=%s", own)


def listener(settings: Settings, nth: int = 0) -> Listener | None:
    """The endpoint that `[metrics] listen` asks for, `nth` ports further on; None where it asks for none.

    Raises LogError.
    """
    if settings.metrics.listen is None:
        return None
    from banstream.metrics import Metrics

    host, port = settings.metrics.listen
    return Metrics(host, port + nth)
