"""What is known of this machine: what `up` said last, what is banned, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from banstream.banned import Banned, banned_in
from banstream.config import Settings
from banstream.healing import settings_to_run
from banstream.reading import SILENT_MS, heartbeat, in_this_life, is_up, rules_in_force
from banstream.show import counted, instant
from banstream.standings import LastBan, StandingBan, last_ban
from eventlog.contract import EventLog
from schemas.durations import format_duration
from schemas.errors import ConfigError
from schemas.rules import Rules
from schemas.topics import COMMANDS, EVENTS

BEHIND: Final = 1_000
"""So many messages may wait to be decided before it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This machine at a moment.

    Attributes:
        at_ms: the moment.
        beat: what `up` said last; empty where it could not say anything yet.
        running: whether it does.
        notices: what went wrong and was survived, and how often.
        banned: all that is banned, and whether the firewall holds it.
        last: the ban that was decided last.
        rules: those in force.
        counted_since_ms: since when failures and bans are counted.
        behind: messages of events that wait to be decided.
        drift: how the configuration on disk differs from what is in force.
    """

    at_ms: int
    beat: Mapping[str, Any]
    running: bool
    notices: Mapping[str, int]
    banned: Banned
    last: LastBan | None
    rules: Rules | None
    counted_since_ms: int | None
    behind: int
    drift: str | None

    @property
    def jails(self) -> Mapping[str, Mapping[str, int]]:
        """The counts of each jail."""
        jails: Mapping[str, Mapping[str, int]] = self.beat.get("decider", {}).get("jails", {})
        return jails

    @property
    def waiting_jails(self) -> Sequence[Mapping[str, Any]]:
        """What `up` said of the jails that wait (banstream.waiting)."""
        waiting: Sequence[Mapping[str, Any]] = self.beat.get("waiting_jails", ())
        return waiting

    def bans_of(self, jail: str) -> list[StandingBan]:
        """A jail's bans that have not ended, the newest first."""
        bans = [ban for ban in self.banned.bans if ban.hold.jail == jail and "ended" not in ban.states]
        return sorted(bans, key=lambda ban: -ban.decided_at_ms)

    def warnings(self) -> Iterator[str]:
        """What is wrong, each in a sentence, the worst first."""
        if self.beat:
            yield from self._of_up()
        if self.drift is not None:
            yield self.drift
        not_held = sum(ban.is_missing(self.at_ms) for ban in self.banned.bans)
        if not_held and self.beat.get("enforcer", {}).get("observing") is None:
            yield f"{counted(not_held, 'ban')} not in force: `banstream bans --refused` says why"
        for problem, count in self.notices.items():
            yield f"{problem} ({counted(count, 'time')})"

    def to_wire(self, jail: str | None = None) -> dict[str, Any]:
        """All of it as a JSON object, of one jail where it is named: what `up` said, and what follows."""
        names = list(self.jails) if jail is None else [jail]
        wire: dict[str, Any] = {"running": self.running, **self.beat, "notices": dict(self.notices)}
        if self.jails:
            wire["decider"] = {
                **wire["decider"],
                "jails": {name: self.jails[name] for name in names if name in self.jails},
            }
        last = self.last and {name: getattr(self.last, name) for name in self.last.__struct_fields__}
        banned = {
            name: [{"prefix": ban.prefix, "in_force": ban.in_force} for ban in self.bans_of(name)]
            for name in names
        }
        more = {"warnings": list(self.warnings()), "banned": banned, "last_ban": last}
        return {**wire, **more, "counted_since_ms": self.counted_since_ms}

    def _of_up(self) -> Iterator[str]:
        silent_ms = self.at_ms - self.beat["at_ms"]
        if self.running and silent_ms > SILENT_MS:
            yield (
                f"`up` has said nothing for {format_duration(silent_ms)}: it hangs, or the log takes "
                "nothing; what follows is as it was then"
            )
        for jail in self.waiting_jails:
            yield jail["said"]
        if self.waiting_jails and (self.rules is None or not self.rules.jails):
            yield "NOTHING IS PROTECTED: every jail waits"
        for stage, reason in self.beat["waiting"].items():
            yield f"the {stage} waits and tries again: {reason}"
        enforcer = self.beat["enforcer"]
        if enforcer["breaker"] is not None:
            again = instant(enforcer["breaker_resets_at_ms"])
            yield f"new bans are refused until {again}: {enforcer['breaker']}; see `banstream breaker`"
        if self.running and self.behind > BEHIND:
            yield f"{counted(self.behind, 'message')} of events wait to be decided"


def machine(log: EventLog, settings: Settings, config_file: str | None, now_ms: int) -> Machine:
    """Look at this machine. Raises Transient and LogError."""
    said = heartbeat(log)
    running = is_up(settings.log_url, log, said, now_ms)
    beat = in_this_life(said, running=running)
    offsets = beat.get("decider", {}).get("next_offsets", [])
    rules = rules_in_force(log)
    return Machine(
        at_ms=now_ms,
        beat=beat,
        running=running,
        notices={**beat.get("notices", {}), **log.notices()},
        banned=banned_in(log, settings.log_url, now_ms, reasons=False),
        last=last_ban(log),
        rules=rules,
        counted_since_ms=_first_ms(log),
        behind=sum(max(0, log.end(EVENTS.name, number) - at) for number, at in enumerate(offsets)),
        drift=_drift(beat, settings, config_file, rules) if running and beat else None,
    )


def _first_ms(log: EventLog) -> int | None:
    """When the log was told its first rules: commands are kept for ever."""
    for message in log.read(COMMANDS.name, 0, log.begin(COMMANDS.name), limit=1):
        return message.at_ms
    return None


def _drift(
    beat: Mapping[str, Any], settings: Settings, config_file: str | None, rules: Rules | None
) -> str | None:
    """What is to be said where the files that `up` has read were changed since; they are read only then."""
    if not settings.files or not _is_same(settings.files[0], beat):
        return None
    changed_ms = max(map(_changed_ms, settings.files))
    if changed_ms < beat["started_at_ms"]:
        return None
    try:
        found = settings_to_run(config_file, check="filters")
    except ConfigError as error:
        return (
            f"the configuration is wrong now, and what was read before holds: {error.problems[0]}; "
            "`banstream config check` has all of it"
        )
    wait = {each["jail"] for each in beat.get("waiting_jails", ())}
    for each in found.waiting:
        if each.name not in wait:
            return (
                f"jail {each.name} is wrong in the configuration now, and would wait after a reload: "
                f"{each.problems[0]}"
            )
    wanted = found.rules()
    if wanted.version == beat["rules"] or (rules is not None and _agree(wanted, rules, wait)):
        return None
    return (
        f"the configuration has other rules, {wanted.version}, than those in force, {beat['rules']}: reload "
        f"them (`systemctl reload banstream`, or `kill -HUP {beat['pid']}`)"
    )


def _agree(wanted: Rules, rules: Rules, but: Collection[str]) -> bool:
    """Whether two rules are the same but for these jails."""
    one, other = (
        replace(each, jails=tuple(jail for jail in each.jails if jail.name not in but))
        for each in (wanted, rules)
    )
    return bool(but) and one == other


def _is_same(file: str, beat: Mapping[str, Any]) -> bool:
    """Whether `up` read its configuration from this file; where it is in `conf.d` may differ."""
    try:
        here = Path(file).is_absolute() or Path(f"/proc/{beat['pid']}/cwd").samefile(Path.cwd())
    except OSError:
        return False
    return here and file == next(iter(beat["files"]), None)


def _changed_ms(file: str) -> int:
    """When a file, or the folder it is in, was changed last; 0 where it is not there."""
    found = 0
    for path in (Path(file), Path(file).parent):
        with suppress(OSError):
            stat = path.stat()
            found = max(found, stat.st_mtime_ns // 1_000_000, stat.st_ctime_ns // 1_000_000)
    return found
