"""Where a role's metrics are answered, if they are."""

from __future__ import annotations

from banstream.config import Settings
from banstream.loop import Listener


def listener(settings: Settings, nth: int = 0) -> Listener | None:
    """The endpoint that `[metrics] listen` asks for, `nth` ports further on; None where it asks for none.

    Raises LogError.
    """
    if settings.metrics.listen is None:
        return None
    from banstream.metrics import Metrics

    host, port = settings.metrics.listen
    return Metrics(host, port + nth)
