"""Runs fail2ban's own FailManager, BanManager and observer over failures, in the time of the failures.

Run it with the Python that has the package. Reads requests, a JSON object a line: `failures` as [seconds,
address] in the order of arrival, `findtime`, `maxretry`, `bantime`, and `extra`, the `bantime.*` options.
Answers each with the bans as [address, from, until], and the ends that went further as [address, until].
Before each failure what has ended is let go, and what is too old is forgotten; a failure later than all
before it moves the clock.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

sys.path.insert(0, "/usr/lib/python3/dist-packages")


class Table:
    """fail2ban's table of bad addresses: how many bans of one, since when the last, and how long."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, int, int]] = {}

    def find(self, ip: str, *_: Any, **__: Any) -> list[tuple[int, int, int]]:
        """The row of an address."""
        return [self._rows[str(ip)]] if str(ip) in self._rows else []

    def add(self, _: Any, ticket: Any) -> None:
        """Keep a ban."""
        self._rows[str(ticket.getID())] = (ticket.getBanCount(), ticket.getTime(), ticket.getBanTime())

    getBan, addBan = find, add  # noqa: N815 - fail2ban's names


class Server:
    """A jail's managers, driven."""

    def __init__(self, asked: dict[str, Any]) -> None:
        parts: Any = {
            name: import_module(f"fail2ban.server.{name}")
            for name in ("jail", "failmanager", "banmanager", "observer", "ticket", "mytime")
        }
        self._parts, self._asked = parts, asked
        self._jail = parts["jail"].Jail("test", backend=None, db=Table())
        self._jail.isAlive = lambda: True
        self._jail._Jail__filter = self  # noqa: SLF001 - what the observer asks
        for name, value in asked["extra"].items():
            self._jail.setBanTimeExtra(name, value)
        self.failManager = parts["failmanager"].FailManager()
        self.failManager.setMaxRetry(asked["maxretry"])
        self.failManager.setMaxTime(asked["findtime"])
        self._bans = parts["banmanager"].BanManager()
        self._bans.setBanTime(asked["bantime"])
        self._observer = parts["observer"].ObserverThread()
        self._waiting: list[Any] = []
        self._now = 0
        self.banned: list[list[Any]] = []
        self.longer: list[list[Any]] = []

    def fail(self, at: int, ip: str) -> None:
        """Take in a failure."""
        self._now = max(self._now, at)
        self._parts["mytime"].MyTime.setTime(self._now)
        self._bans.unBanList(self._now)
        self.failManager.cleanup(self._now)
        fail_ticket = self._parts["ticket"].FailTicket
        if self.failManager.addFailure(fail_ticket(ip, at, ["line"])) >= self._asked["maxretry"]:
            self.perform(ip)
        else:
            self._observer.failureFound(self._jail, fail_ticket(ip, at, ["line"]))
        while self._waiting:
            self._ban(self._parts["ticket"].BanTicket.wrap(self._waiting.pop()))

    def perform(self, ip: str) -> None:
        """Queue what is to be banned."""
        with suppress(self._parts["failmanager"].FailManagerEmpty):
            self._waiting.append(self.failManager.toBan(ip))

    performBan = perform  # noqa: N815 - fail2ban's name

    def _ban(self, ban: Any) -> None:
        bantime, why = self._asked["bantime"], dict[str, Any]()
        if self._bans.addBanTicket(ban, reason=why):
            self._observer.banFound(ban, self._jail, bantime)
            self.banned.append([str(ban.getID()), ban.getTime(), ban.getEndOfBanTime(bantime)])
        elif why.get("prolong"):
            self.longer.append([str(ban.getID()), why["ticket"].getEndOfBanTime(bantime)])


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        server = Server(json.loads(line))
        for at, ip in json.loads(line)["failures"]:
            server.fail(at, ip)
        sys.stdout.write(json.dumps([server.banned, server.longer]) + "\n")


if __name__ == "__main__":
    main()
