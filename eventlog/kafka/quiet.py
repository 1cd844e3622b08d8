"""What Kafka's client libraries log, and not hearing it."""

from __future__ import annotations

import logging
from typing import Final

LIBRARIES: Final = ("kafka", "aiokafka", "faust", "mode", "streams.worker.faust_group")
"""Their loggers; the last is what Faust calls that of an app of ours."""


def quiet_libraries(*, quiet: bool = True) -> None:
    """Hear of them what is fatal only: what else matters they raise, and then it is said in our words.

    Not `quiet`: hear all of them again, for who wants to debug them.
    """
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL if quiet else logging.NOTSET)
