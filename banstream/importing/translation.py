"""fail2ban's jails as jails of ours.

What a jail does not say, [DEFAULT] says, there as here. A key is told of once: where it is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from banstream.importing.actions import Acts, acts_of
from banstream.importing.drafts import Draft, JailDraft, Keys
from banstream.importing.filters import Chosen, choose
from banstream.importing.installation import Installation
from banstream.importing.policy import policy_of
from banstream.importing.remarks import Fate, Remark
from banstream.importing.sources import paths_in, sources_of
from producers.filters.fail2ban.files import DEFAULT
from schemas.errors import ConfigError

RECIDIVE: Final = "recidive"
LETS_IN: Final = (
    "it lets in whom it finds, and bans nobody: nothing here does that, and the jail is left out; who is "
    "not to come to these ports is kept out by your own firewall"
)
ONLY_TOLD: Final = "none of its actions is a firewall's: here its bans enter the firewall all the same"
TOO_LONG: Final = (
    "it is too long for `filter` to say: set it under [Definition] of filter.d/{}.local, and import again"
)
AS_FAIL2BAN: Final = "window: as fail2ban counts; without this line failures are counted exactly"
ON_STDERR: Final = "roles speak on stderr; --log-to syslog|journal, --quiet and --debug say otherwise"
SERVER: Final[Mapping[str, tuple[Fate, str]]] = {
    "loglevel": ("none", ON_STDERR),
    "logtarget": ("none", ON_STDERR),
    "syslogsocket": ("none", ON_STDERR),
    "socket": ("none", "commands are given to the log: there is no socket"),
    "pidfile": ("none", "a role holds its log, and systemd knows its process"),
    "dbfile": ("none", "the log has all of it: [log] url; its bans in force come with --bans"),
    "dbmaxmatches": ("none", "every failure that counted is kept, in the log"),
    "dbpurgeage": (
        "translated",
        "`forget` of bans that grow; what the log keeps is bounded by [log] max_size",
    ),
    "allowipv6": ("none", "addresses of both kinds are read and banned"),
}
"""The keys of fail2ban.conf."""


@dataclass(slots=True)
class Translation:
    """fail2ban's configuration, translated.

    Attributes:
        off: how many jails there are that fail2ban would not start, and are left out.
    """

    draft: Draft
    remarks: list[Remark] = field(default_factory=list[Remark])
    off: int = 0


def translate(installation: Installation, *, everything: bool) -> Translation:
    """The jails that fail2ban would start, or (`everything`) all that there are. Raises ConfigError."""
    defaults, remarks = policy_of(installation, DEFAULT)
    head = ["Made by `banstream import fail2ban` from", *(f"  {file}" for file in installation.files)]
    notes = [f"{each.key}: {each.said}" for each in remarks if each.verdict == "otherwise"]
    notes.append(AS_FAIL2BAN)
    made = Translation(Draft(head, defaults, [], notes), remarks)
    made.remarks += _of_server(installation)
    for name in installation.names():
        try:
            counts = installation.is_on(name)
        except ConfigError as error:
            made.remarks.append(Remark(verdict="lost", jail=name, key="enabled", said=str(error)))
            continue
        if counts or everything:
            _Jail(installation, name, counts, made).translate()
        else:
            made.off += 1
    return made


def _of_server(installation: Installation) -> Iterator[Remark]:
    """What became of fail2ban.conf."""
    for key, (verdict, said) in SERVER.items():
        place = installation.setting_place(key)
        if place is not None:
            yield Remark(verdict=verdict, jail="", key=key, said=said, place=place)


@dataclass(slots=True)
class _Jail:
    """One jail on its way."""

    installation: Installation
    name: str
    counts: bool
    made: Translation

    def translate(self) -> None:
        """Add its draft, and what became of its keys."""
        try:
            acts = acts_of(self._value("action"))
            if acts.lets_in:
                self._say("none", "action", LETS_IN)
                return
            if not self._value("filter"):
                self._say(
                    "none", "filter", "it has none: fail2ban would ban nobody by it, and it is left out"
                )
                return
            chosen = choose(self.installation, self.name, self._value("filter"))
            keys, remarks = self._keys(chosen, acts)
        except ConfigError as error:
            self._say("lost", "filter", f"{error}; the jail is left out")
            return
        self.made.remarks += remarks
        notes = [f"{each.key}: {each.said}" for each in remarks if each.verdict in {"otherwise", "lost"}]
        self.made.draft.jails.append(JailDraft(self.name, keys, notes, self.counts))

    def _keys(self, chosen: Chosen, acts: Acts) -> tuple[Keys, list[Remark]]:
        """The keys of its draft, and what became of fail2ban's. Raises ConfigError."""
        keys, remarks = self._input(chosen)
        policy, told = policy_of(self.installation, self.name)
        more = [replace(each, counts=self.counts) for each in told]
        if chosen.native and policy.get("on") != "bans":
            remarks.append(self._remark("translated", "filter", f'filter = "{chosen.name}", of banstream'))
        keys = {**policy, **keys} if "enabled" in policy else {**keys, **policy}
        if acts.ports:
            keys["ports"] = acts.ports
        if acts.mails:
            keys["actions"] = [self.made.draft.mail_sink(acts.mails)]
        return keys, [*remarks, *more, *self._of_actions(acts)]

    def _input(self, chosen: Chosen) -> tuple[Keys, list[Remark]]:
        """What it counts: the bans of other jails, or what a filter finds in its sources."""
        logs = list(paths_in(self._value("logpath")))
        if chosen.stem == RECIDIVE:
            said = (
                'on = "bans": other jails\' bans are counted as they are decided, and no log of them is read'
            )
            return {"on": "bans"}, [self._remark("translated", "filter", said)]
        if self.installation.setting("logtarget") in logs:
            raise ConfigError("it reads fail2ban's own log, which nobody writes any more")
        read = sources_of(self.installation, self.name, chosen)
        remarks = [self._remark("otherwise", key, said) for key, said in read.said]
        keys: Keys = {} if chosen.native and chosen.name == self.name else {"filter": chosen.name}
        if not chosen.native:
            why = f", since {chosen.kept_why}" if chosen.kept_why else ""
            remarks.append(self._remark("translated", "filter", f"fail2ban's own, {chosen.name}{why}"))
        remarks += [self._remark("lost", key, TOO_LONG.format(chosen.stem)) for key in chosen.dropped]
        if read.sources:
            keys["source"] = read.sources if len(read.sources) > 1 else read.sources[0]
            remarks.append(self._remark("translated", "logpath", f"source = {', '.join(read.sources)}"))
        else:
            said = "it names no log that can be read: where the filter's service usually logs"
            remarks.append(self._remark("otherwise", "logpath", said))
        return keys, remarks

    def _of_actions(self, acts: Acts) -> list[Remark]:
        remarks = [self._remark("none", "action", said) for said in acts.others]
        if acts.mails:
            said = f"a sink, mail to {', '.join(acts.mails)}: one a minute, with lines, and without whois"
            remarks.append(self._remark("translated", "action", said))
        if acts.firewall:
            on = f"on ports {', '.join(map(str, acts.ports))}" if acts.ports else "on all ports"
            remarks.append(self._remark("translated", "action", f'backend = "nftables", {on}'))
        else:
            remarks.append(self._remark("otherwise", "action", ONLY_TOLD))
        if acts.left_out:
            remarks.append(self._remark("otherwise", "port", acts.left_out))
        return remarks

    def _value(self, key: str) -> str:
        return self.installation.value(self.name, key) or ""

    def _say(self, verdict: Fate, key: str, said: str) -> None:
        self.made.remarks.append(self._remark(verdict, key, said))

    def _remark(self, verdict: Fate, key: str, said: str) -> Remark:
        place = self.installation.place(self.name, key)
        return Remark(verdict=verdict, jail=self.name, key=key, said=said, place=place, counts=self.counts)
