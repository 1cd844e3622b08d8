"""The jails of a configuration: what each counts, whom it bans, and which filters and sources it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, cast, get_args

from banstream import values
from banstream.behaving import read_behaviour
from banstream.growing import read_escalation, read_increment
from banstream.ignorecommands import command
from banstream.keys_together import together
from banstream.lacks import Lack, Lacking
from banstream.leaking import leaking, read_leak
from banstream.lists.wanted import Ignored, ignored
from banstream.places import check_places, read_scope
from banstream.requests import paths
from banstream.successes import on_success
from banstream.toml import Table
from eventlog.trust import doubt
from producers.atlas import WhereaboutsFiles
from producers.intakes.settings import is_intake, origins_pattern
from producers.library import (
    AUTO,
    FAILED,
    LAYOUT_NAMES,
    check_name,
    counts_of,
    is_fail2ban,
    library_names,
)
from schemas.bounds import MOST_RETRY
from schemas.errors import ConfigError
from schemas.records import Kind
from schemas.rules import (
    MANUAL,
    MOST_DECOYS,
    MOST_STEPS,
    WIDEST_IPV4,
    WIDEST_IPV6,
    Counting,
    Distinct,
    Jail,
    JailInput,
    Mode,
    Threshold,
    WindowKind,
)

JAIL_NAME_CHARACTERS: Final = 64
FILTER: Final = "a filter: one of `banstream filters list`, a path, auto, or fail2ban's sshd[mode=aggressive]"
Start = Literal["recent", "beginning", "end"]
CheckDepth = Literal["names", "filters", "sources"]
"""How far what jails name is looked into: filters by name alone, filters, filters and sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JailSettings:
    """A jail: its rules, and the sources its filters read.

    Attributes:
        start: where a source begins the first time.
        auto: its filters are all of the library that no other jail names.
        usedns: whether host names in lines become addresses; None: as each filter says.
        timezone: of times in its sources that name none; empty: this machine's.
        layout: how the lines of its access logs begin, where it has to be said.
        keeps_filters: its filters are those that were loaded before, whatever their files hold now.
        actions: the sinks that carry what it decides.
        reads: its sources are read.
    """

    rules: Jail
    sources: tuple[str, ...]
    start: Start
    auto: bool = False
    usedns: bool | None = None
    timezone: str = ""
    layout: str = ""
    keeps_filters: bool = False
    actions: tuple[str, ...] = ()
    reads: bool = True


def read_jails(
    top: Table, *, check: CheckDepth, files: WhereaboutsFiles, lists: tuple[str, ...] = ()
) -> tuple[JailSettings, ...]:
    """The jails that `[jail.NAME]` and `[defaults]` make; sshd's alone where there is none.

    `files`: that know where addresses are. `lists`: of those that each goes by.
    """
    defaults_table = top.table("defaults")
    defaults = _jail("", defaults_table, _built_in())
    defaults_table.done()
    jail_tables = dict(top.table("jail").tables())
    if not jail_tables:
        jail_tables = {"sshd": top.table("jail").table("sshd")}
    read = [
        _enabled_jail(name, table, defaults, check=check, files=files) for name, table in jail_tables.items()
    ]
    jails = tuple(_listed(jail, lists) for jail in read if jail is not None)
    _check_zones(jails, jail_tables)
    return told_apart(_routed(jails))


def _check_zones(jails: tuple[JailSettings, ...], tables: Mapping[str, Table]) -> None:
    """A source's times are of one zone, and its lines of one layout, whichever jails read it."""
    first: dict[str, JailSettings] = {}
    for jail in jails:
        for source in jail.sources:
            other = first.setdefault(source, jail)
            if other.timezone != jail.timezone:
                name, zone = other.rules.name, other.timezone or "none, this machine's"
                expected = f"the zone of [jail.{name}], which reads {source} too: {zone}"
                tables[jail.rules.name].problem("timezone", jail.timezone or None, expected)
            if other.layout != jail.layout:
                expected = f"the layout of [jail.{other.rules.name}], which reads {source} too"
                tables[jail.rules.name].problem("layout", jail.layout or None, expected)


def _listed(jail: JailSettings, lists: tuple[str, ...]) -> JailSettings:
    """A jail that counts nobody in these lists either."""
    return replace(jail, rules=replace(jail.rules, lists=(*jail.rules.lists, *lists)))


def _built_in() -> JailSettings:
    return JailSettings(
        rules=Jail(name="", filters=(), ignoreip=("127.0.0.0/8", "::1"), kinds=(), ipv6_prefix=64),
        sources=(),
        start="recent",
    )


def _enabled_jail(
    name: str, table: Table, defaults: JailSettings, *, check: CheckDepth, files: WhereaboutsFiles
) -> JailSettings | None:
    enabled = table.take("enabled", values.flag, default=True)
    on = cast("JailInput", table.take("on", values.one_of(*get_args(JailInput)), "events"))
    own: tuple[str, ...] = (name,) if name in library_names() and on == "events" else ()
    filters = table.take("filter", _filters(check), own)
    if on == "bans" and filters:
        table.problem("filter", list(filters), 'none: with on = "bans" it counts what other jails ban')
    elif on == "events" and not filters and "filter" not in table.refused:
        table.problem("filter", None, FILTER)
    if name == MANUAL or len(name) > JAIL_NAME_CHARACTERS or not name.isprintable():
        table.problem("", name, f"a name of up to {JAIL_NAME_CHARACTERS} characters other than {MANUAL}")
    unset: tuple[str, ...] = ()
    sources = table.take("source", _sources if check == "sources" else values.texts, unset)
    if on == "bans" and sources:
        table.problem("source", list(sources), 'none: with on = "bans" it reads no log')
    elif on == "events":
        sources = sources or defaults.sources or _usual_sources(filters, check)
    rated, leak = table.has("maxretry"), read_leak(table)
    jail = _jail(name, table, defaults, filters=filters, sources=sources)
    kinds = jail.rules.kinds or _counted(filters)
    rules = _stepped(table, replace(jail.rules, kinds=kinds, on=on))
    rules = together(table, leaking(table, rules, leak), rated=rated, look=check == "sources")
    if check != "names":
        check_places(table, rules, files, look=check == "sources")
    jail = replace(jail, rules=rules)
    table.done()
    return jail if enabled else None


def _jail(
    name: str,
    table: Table,
    usual: JailSettings,
    *,
    filters: tuple[str, ...] = (),
    sources: tuple[str, ...] = (),
) -> JailSettings:
    rules = usual.rules
    ignoring = table.take("ignoreip", ignored, Ignored(rules.ignoreip, rules.lists))
    return JailSettings(
        rules=Jail(
            name=name,
            filters=filters,
            findtime_ms=table.take("findtime", values.duration_ms, rules.findtime_ms),
            maxretry=table.take("maxretry", values.between(1, MOST_RETRY), rules.maxretry),
            bantime_ms=table.take("bantime", values.bantime_ms, rules.bantime_ms),
            ignoreip=ignoring.prefixes,
            lists=ignoring.lists,
            ignorecommand=table.take("ignorecommand", command, rules.ignorecommand),
            ignoreself=table.take("ignoreself", values.flag, rules.ignoreself),
            kinds=table.take("kinds", values.some_of(*get_args(Kind)), rules.kinds),
            hosts=table.take("hosts", values.texts, rules.hosts),
            labels=table.take("labels", values.labels, rules.labels),
            ports=table.take("ports", values.ports, rules.ports),
            **on_success(table, rules),
            window=table.take("window", _window, rules.window),
            distinct=table.take("distinct", _distinct, rules.distinct),
            count=table.take("count", _counting, rules.count),
            prolong=table.take("prolong", values.flag, rules.prolong),
            decoy_users=table.take("decoy_users", values.names(MOST_DECOYS), rules.decoy_users),
            decoy_paths=table.take("decoy_paths", paths, rules.decoy_paths),
            increment=read_increment(table, rules.increment),
            ipv4_prefix=table.take("ipv4_prefix", values.between(WIDEST_IPV4, 32), rules.ipv4_prefix),
            escalate=read_escalation(table, rules.escalate),
            scope=read_scope(table, rules.scope),
            behaviour=read_behaviour(table, rules.behaviour),
            mode=table.take("mode", _mode, rules.mode),
            ipv6_prefix=table.take("ipv6_prefix", values.between(WIDEST_IPV6, 128), rules.ipv6_prefix),
        ),
        sources=sources,
        start=table.take("start", _start, usual.start),
        usedns=table.take("usedns", values.usedns, usual.usedns),
        timezone=table.take("timezone", values.timezone, usual.timezone),
        layout=table.take("layout", values.one_of(*LAYOUT_NAMES), usual.layout),
        actions=table.take("actions", values.texts, usual.actions),
    )


def _stepped(jail: Table, rules: Jail) -> Jail:
    """The same with the thresholds that `[[jail.NAME.step]]` says in place of its own, where it does."""
    steps: list[Threshold] = []
    for table in jail.rows("step"):
        step = Threshold(
            findtime_ms=table.take("findtime", values.duration_ms, rules.findtime_ms),
            maxretry=table.take("maxretry", values.between(1, MOST_RETRY), rules.maxretry),
            bantime_ms=table.take("bantime", values.bantime_ms, rules.bantime_ms),
            scope=read_scope(table),
        )
        if steps and step.maxretry <= steps[-1].maxretry and "maxretry" not in table.refused:
            table.problem("maxretry", step.maxretry, f"more than the step before it: {steps[-1].maxretry}")
        table.done()
        steps.append(step)
    if len(steps) > MOST_STEPS + 1:
        jail.problem("step", len(steps), f"{MOST_STEPS + 1} at most")
    if not steps:
        return rules
    if rules.window != "exact":
        jail.problem("step", len(steps), f'none: window = "{rules.window}" has one threshold')
    first, *further = steps
    return replace(
        rules,
        findtime_ms=first.findtime_ms,
        maxretry=first.maxretry,
        bantime_ms=first.bantime_ms,
        first_scope=first.scope,
        steps=tuple(further[:MOST_STEPS]),
    )


def _counted(filters: tuple[str, ...]) -> tuple[str, ...]:
    """What its filters are for: a jail that names one whose matter is probing counts probes."""
    found = {kind for name in filters for kind in counts_of(name)}
    return tuple(kind for kind in get_args(Kind) if kind in found) or FAILED


def _routed(jails: tuple[JailSettings, ...]) -> tuple[JailSettings, ...]:
    """A jail that says `auto` has the filters that no other jail names."""
    named = {name for jail in jails for name in jail.rules.filters}
    rest = tuple(each for each in library_names() if each not in named)
    return tuple(
        replace(jail, rules=replace(jail.rules, filters=rest), auto=True)
        if AUTO in jail.rules.filters
        else jail
        for jail in jails
    )


def told_apart(jails: tuple[JailSettings, ...]) -> tuple[JailSettings, ...]:
    """Jails that share a filter but not their sources select their events by source too."""
    told: list[JailSettings] = []
    for jail in jails:
        others = [other for other in jails if set(other.rules.filters) & set(jail.rules.filters)]
        same = all(other.sources == jail.sources for other in others)
        sources = tuple(origins_pattern(each) if is_intake(each) else each for each in jail.sources)
        rules = jail.rules if same else replace(jail.rules, sources=sources)
        told.append(replace(jail, rules=rules))
    return tuple(told)


def _distinct(value: object) -> Distinct:
    return cast("Distinct", values.one_of(*get_args(Distinct))(value))


def _counting(value: object) -> Counting:
    return cast("Counting", values.one_of(*get_args(Counting))(value))


def _window(value: object) -> WindowKind:
    return cast("WindowKind", values.one_of(*get_args(WindowKind))(value))


def _mode(value: object) -> Mode:
    return cast("Mode", values.one_of(*get_args(Mode))(value))


def _start(value: object) -> Start:
    return cast("Start", values.one_of(*get_args(Start))(value))


def _filters(check: CheckDepth) -> Callable[[object], tuple[str, ...]]:
    def filters(value: object) -> tuple[str, ...]:
        names = values.texts(value)
        for name in names:
            try:
                if name != AUTO:
                    _check_filter(name, check)
            except ConfigError as error:
                expected = f"{FILTER} ({error})"
                raise (
                    Lacking(expected, Lack("filter", name)) if _is_filter(name) else ValueError(expected)
                ) from error
        if AUTO in names and len(names) > 1:
            raise ValueError(f'"{AUTO}" alone, or names: it stands for every filter that no jail names')
        return names

    return filters


def _check_filter(name: str, check: CheckDepth) -> None:
    if check == "names":
        check_name(name)
    else:
        from producers.filters import files_of, load_filter

        for file in files_of(name):
            _check_trust(file)
        load_filter(name)


def _is_filter(name: str) -> bool:
    """Whether a text names a filter, be its file there and right or not."""
    try:
        check_name(name)
        if is_fail2ban(name):
            from producers.filters.fail2ban.files import parse_specification

            parse_specification(name)
    except ConfigError:
        return False
    return True


def _check_trust(file: Path) -> None:
    try:
        why = doubt(file)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    if why is not None:
        raise ConfigError(f"{file}: not read, since it cannot be trusted: {why}")


def _usual_sources(filters: tuple[str, ...], check: CheckDepth) -> tuple[str, ...]:
    if check == "names":
        return ()
    from producers.usual import usual_sources

    return usual_sources(filters)


def _sources(value: object) -> tuple[str, ...]:
    from producers.sources import check_source

    specs = values.texts(value)
    wrong = [problem for spec in specs for problem in check_source(spec)]
    if wrong:
        expected = f"sources that can be read; {'; '.join(wrong)}"
        are_specs = all(map(_is_source, specs))
        raise (
            Lacking(expected, *(Lack("source", spec) for spec in specs if check_source(spec)))
            if are_specs
            else ValueError(expected)
        )
    return specs


def _is_source(spec: str) -> bool:
    """Whether a text names a source, be it there and readable or not."""
    from producers.sources import missing_files

    try:
        missing_files(spec)
    except ConfigError:
        return False
    return True
