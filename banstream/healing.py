"""Settings of a role that runs: a jail with which something is wrong waits, and harms no other.

| a jail with which something is wrong, that | |
|---|---|
| was never in force | bans nobody |
| was right before a reload | goes on by its last good rules, and with the filters that were loaded then |
| was right before a restart | has its last good rules: what it counted stays, its bans end as they would |
| ... and its filters and sources are right | is read, too |
| lacks what its configuration names, until that appears | is then as any other |

What is wrong outside of jails is nobody's alone: it is refused, as are jails that are wrong and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from banstream.config import Configuration, Settings
from banstream.jails import CheckDepth, JailSettings, told_apart
from banstream.lacks import Lack, LookRound, look
from banstream.toml import Trouble
from banstream.waiting import WaitingJail
from schemas.errors import ConfigError
from schemas.rules import Rules

READING: Final = frozenset({"enabled", "filter", "on", "source", "start", "usedns", "timezone", "layout"})
"""The keys by which a jail is read."""
NO_JAIL: Final = "jail: no jail is enabled, so there is nothing to do; enable one"


def settings_to_run(file: str | None, *, check: CheckDepth = "sources") -> Settings:
    """The configuration, for a role that goes on without jails that are wrong.

    Raises ConfigError for what is wrong outside of jails; and, but for who needs their names alone, where no
    jail is right, nor names anything that it could wait for.
    """
    settings = _parted(Configuration(file), check)
    return settings if check == "names" else _hopeful(settings)


def settings_to_ship(file: str | None) -> Settings:
    """The configuration, for a role that reads logs and counts nothing.

    A jail is read where its filters and sources are right, whatever else of it is wrong: others count it, by
    the rules in force. Raises ConfigError as `settings_to_run`.
    """
    settings = _parted(Configuration(file), "sources")
    kept = {each.name: each.settings for each in settings.waiting if _can_be_read(each)}
    return _hopeful(_with(settings, kept))


def settings_to_watch(file: str | None) -> Settings:
    """The configuration, for a role that decides on what it reads.

    Raises ConfigError as `settings_to_run`, and where no jail is enabled.
    """
    settings = settings_to_run(file)
    if not settings.jails and not settings.waiting:
        raise ConfigError(f"{_named(settings)}: {NO_JAIL}")
    return settings


def healed(settings: Settings) -> Settings | None:
    """What the same configuration says now; None where nothing that a waiting jail lacks has changed.

    Raises ConfigError as `settings_to_run`.
    """
    healing, known = [each for each in settings.waiting if each.heals], LookRound()
    if settings.configuration is None or not any(_has_changed(each, known) for each in healing):
        return None
    return keeping(_parted(settings.configuration, "sources"), settings)


def keeping(settings: Settings, old: Settings) -> Settings:
    """The settings, with jails that wait and were right in the old ones as they were there."""
    last = {jail.rules.name: jail for jail in old.jails}
    kept = {
        each.name: replace(last[each.name], keeps_filters=True)
        for each in settings.waiting
        if each.name in last
    }
    return _with(settings, kept)


def keeping_rules(settings: Settings, rules: Rules | None) -> Settings:
    """The settings, with jails that wait under the rules that are in force for them."""
    last = {} if rules is None else {jail.name: jail for jail in rules.jails}
    kept = {
        each.name: replace(
            each.settings,
            rules=last[each.name],
            reads=_can_be_read(each) and each.settings.rules.filters == last[each.name].filters,
        )
        for each in settings.waiting
        if each.name in last
    }
    return _with(settings, kept)


def _hopeful(settings: Settings) -> Settings:
    """The same. Raises ConfigError where every jail is wrong, and none names what it could wait for."""
    if settings.waiting and not settings.jails and not any(each.is_promising for each in settings.waiting):
        raise ConfigError(*(problem for each in settings.waiting for problem in each.problems))
    return settings


def _can_be_read(waiting: WaitingJail) -> bool:
    return not waiting.lacks and waiting.wrong.isdisjoint(READING) and bool(waiting.settings.sources)


def _parted(configuration: Configuration, check: CheckDepth) -> Settings:
    settings, problems = configuration.settings(check=check)
    if problems.elsewhere:
        raise ConfigError(*problems.found)
    good: list[JailSettings] = []
    waiting: list[WaitingJail] = []
    for place, jail in enumerate(settings.jails):
        trouble = problems.parts.get(jail.rules.name)
        if trouble is None and check == "sources":
            trouble = _blindness(settings, jail)
        if trouble is None:
            good.append(jail)
            continue
        lacks = tuple(trouble.lacks)
        waiting.append(
            WaitingJail(
                place=place,
                problems=tuple(trouble.found),
                settings=jail,
                lacks=lacks,
                wrong=frozenset(trouble.wrong),
                looked=look(lacks),
            )
        )
    return replace(settings, jails=tuple(good), waiting=tuple(waiting))


def _blindness(settings: Settings, jail: JailSettings) -> Trouble | None:
    """What is wrong with a jail that has nothing to read; None: it has, or needs nothing."""
    if jail.sources or jail.rules.on != "events":
        return None
    from producers.usual import usual_places

    places = usual_places(jail.rules.filters)
    known = ", ".join(places) or "nowhere that is known"
    found = (
        f"{_named(settings)}: jail.{jail.rules.name}.source: none is configured, and this machine has none "
        f"where its service logs ({known}); name one, such as file:/var/log/auth.log"
    )
    return Trouble([found], [Lack("place", place) for place in places], set() if places else {"source"})


def _has_changed(waiting: WaitingJail, known: LookRound) -> bool:
    return waiting.looked is None or look(waiting.lacks, known) != waiting.looked


def _with(settings: Settings, kept: dict[str, JailSettings]) -> Settings:
    """The settings with some of the waiting jails going on, in the order of the configuration."""
    waiting = tuple(
        replace(each, keeps=each.name in kept, reads=each.name in kept and kept[each.name].reads)
        for each in settings.waiting
    )
    jails = [*settings.jails]
    for each in waiting:
        if each.keeps:
            jails.insert(each.place - _absent_before(waiting, each.place), kept[each.name])
    return replace(settings, jails=told_apart(tuple(jails)), waiting=waiting)


def _absent_before(waiting: tuple[WaitingJail, ...], place: int) -> int:
    return sum(each.place < place and not each.keeps for each in waiting)


def _named(settings: Settings) -> str:
    return settings.files[-1] if settings.files else "configuration"
