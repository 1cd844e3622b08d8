"""Many enforcers in one process, each with connections of its own, as `bench.roles hundred` starts them.

`python -m bench.followers URL NUMBER`: they follow the bans, are woken by what comes, say every ten seconds
how they are, and enforce nothing. Says READY when all have started; ends when it is killed.
"""

from __future__ import annotations

import selectors
import sys
import time
from typing import Final

from enforcers.enforcer import Enforcer, EnforcerConfig
from enforcers.null import NullBackend
from eventlog.follower import Wakeup
from eventlog.kafka.log import KafkaLog

HEARTBEAT_MS: Final = 10_000
IDLE_S: Final = 1.0


def main(url: str, number: int) -> None:
    """Follow until killed."""
    selector = selectors.DefaultSelector()
    followers: list[tuple[Enforcer, Wakeup]] = []
    for nth in range(number):
        log = KafkaLog.open(url)
        config = EnforcerConfig(host=f"host{nth}", heartbeat_ms=HEARTBEAT_MS)
        enforcer = Enforcer(log, NullBackend(), config)
        enforcer.start()
        wakeup = Wakeup(enforcer.follower.wait)
        selector.register(wakeup.fileno, selectors.EVENT_READ, (enforcer, wakeup))
        followers.append((enforcer, wakeup))
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    looked_at = time.monotonic()
    while True:
        for key, _ in selector.select(IDLE_S) if number else ():
            enforcer, wakeup = key.data
            enforcer.poll()
            wakeup.clear()
        if time.monotonic() >= looked_at + IDLE_S:
            looked_at = time.monotonic()
            for enforcer, _ in followers:
                enforcer.poll()
        if not number:
            time.sleep(IDLE_S)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
