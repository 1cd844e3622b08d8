"""`banstream config`: check it, show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import click

from banstream.authority import caution
from banstream.config import DeciderSettings, Settings, ShipSettings, load_settings, state_directory
from banstream.doubts import doubts
from banstream.lists.wanted import LIST, Wanted, written
from banstream.options import config_option, json_option
from banstream.show import counted, json_line, say
from eventlog.urls import is_shared, url_warning
from schemas.durations import format_duration
from schemas.errors import ConfigError
from schemas.lists import BAN
from schemas.rules import Jail
from schemas.whereabouts import Scope


@click.group("config")
def config_command() -> None:
    """Check or show the configuration."""


@config_command.command("check")
@json_option
@config_option
def check_command(as_json: bool, config_file: str | None) -> int:
    """Read the configuration and say what is wrong with it: every problem at once. Exit code 2 if any.

    What is legal and surely not meant is a warning, and no error: a file that is not there, a filter that
    finds nothing in the log that it is given, a network that holds everybody.
    """
    try:
        settings = load_settings(config_file)
    except ConfigError as error:
        if as_json:
            json_line({"good": False, "problems": error.problems})
        raise
    found = list(doubts(settings))
    if (insecure := url_warning(settings.log_url)) is not None:
        found.append(f"log.url: {insecure}")
    if (own := caution(settings)) is not None:
        found.append(own)
    jails, version = len(settings.jails), settings.rules().version
    if as_json:
        facts = {"files": settings.files, "jails": jails, "rules": version}
        json_line({"good": True, **facts, "warnings": found})
        return 0
    say(f"Good: {settings.origin}; {counted(jails, 'jail')}, rules {version}.")
    for doubt in found:
        say(f"WARNING: {doubt}")
    return 0


@config_command.command("show")
@json_option
@config_option
def show_command(as_json: bool, config_file: str | None) -> int:
    """The configuration in force, every default filled in; of a fleet's roles where the log is a fleet's."""
    settings = load_settings(config_file, check="filters")
    if as_json:
        json_line(
            {
                "files": settings.files,
                "log": {"url": settings.log_url, "max_size": settings.max_log_bytes},
                "rules": settings.rules().to_wire(),
                "ship": {name: getattr(settings.ship, name) for name in type(settings.ship).__slots__},
                "metrics": {"listen": settings.metrics.listen},
                "lists": [asdict(each) for each in settings.wanted()],
                "sinks": [sink.to_wire() for sink in settings.sinks],
                "places": asdict(settings.places),
                "sources": {jail.rules.name: jail.sources for jail in settings.jails},
                "enforcer": {
                    name: getattr(settings.enforcer, name) for name in type(settings.enforcer).__slots__
                },
            }
        )
    else:
        for line in _toml(settings):
            say(line)
    return 0


def _toml(settings: Settings) -> list[str]:
    enforcer, ship = settings.enforcer, settings.ship
    lines = [f"# from {settings.origin}", "[log]"]
    max_size = "none" if settings.max_log_bytes is None else settings.max_log_bytes
    lines += [f"url = {_value(settings.log_url)}", f"max_size = {_value(max_size)}", "", "[decider]"]
    lines += [f"lateness = {_value(format_duration(settings.lateness_ms))}"]
    lines += [f"max_subjects = {settings.max_subjects}"]
    shared = is_shared(settings.log_url)
    lines += _section(settings.decider, DeciderSettings(require_enrolled=shared), whole=shared)
    ships = _section(ship, ShipSettings(directory=str(state_directory())), whole=shared)
    lines += ["", "[ship]", *ships] if ships else []
    lines += ["", "[enforcer]"]
    given = {name: getattr(enforcer, name) for name in type(enforcer).__slots__}
    lines += [f"{name} = {_value(value)}" for name, value in given.items() if value is not None]
    if settings.metrics.listen is not None:
        lines += ["", "[metrics]", f"listen = {_value('{}:{}'.format(*settings.metrics.listen))}"]
    lines += [line for each in settings.lists for line in _list(each)]
    for sink in settings.sinks:
        lines += _table(f"[sink.{sink.name}]", _told(sink.to_wire()))
    places = {"country": settings.places.country, "asn": settings.places.asn}
    lines += _table("[places]", places) if any(places.values()) else []
    for jail in settings.jails:
        rules = jail.rules
        facts = {
            "on": () if rules.on == "events" else rules.on,
            "filter": rules.filters,
            "source": jail.sources,
            "start": jail.start,
            "timezone": jail.timezone or (),
            "layout": jail.layout or (),
            "usedns": () if jail.usedns is None else "yes" if jail.usedns else "no",
            "findtime": format_duration(rules.findtime_ms),
            "maxretry": rules.maxretry if rules.kinds or rules.on == "bans" else (),
            "bantime": _bantime(rules.bantime_ms),
            "ignoreip": (*rules.ignoreip, *written(rules.lists)),
            "ignorecommand": rules.ignorecommand,
            "ignoreself": () if rules.ignoreself else False,
            "kinds": rules.kinds,
            "hosts": rules.hosts,
            "labels": rules.labels,
            "ports": rules.ports,
            "on_success": "halve" if rules.halve else "forgive" if rules.forgive else "ignore",
            **_known_good(rules),
            "prolong": rules.prolong,
            "window": rules.window,
            "count": () if rules.count == "address" else rules.count,
            "distinct": rules.distinct or (),
            "decoy_users": rules.decoy_users,
            "decoy_paths": rules.decoy_paths,
            "ipv4_prefix": rules.ipv4_prefix,
            "ipv6_prefix": rules.ipv6_prefix,
            **_scope(rules.scope),
        }
        lines += ["", f"[jail.{_value(rules.name)}]"]
        lines += [f"{key} = {_value(value)}" for key, value in facts.items() if value != ()]
        lines += _tables(rules)
    return lines


def _told(sink: Mapping[str, object]) -> dict[str, object]:
    """A sink as it may be written: an empty `on`, `where` is none."""
    return {name: value for name, value in sink.items() if value not in ((), {})}


def _list(wanted: Wanted) -> list[str]:
    """The lines of a list."""
    facts: dict[str, object] = {
        "from": wanted.place,
        "action": "ban" if wanted.bans else "allow",
        "format": wanted.format,
    }
    facts |= {"refresh": format_duration(wanted.refresh_ms), "max_size": wanted.most_bytes}
    facts["max_entries"] = wanted.most_entries
    return _table(f"[list.{_value(wanted.name.removeprefix(LIST).removeprefix(BAN))}]", facts)


def _tables(rules: Jail) -> list[str]:
    """The lines of a jail's own tables: how its bans grow, its thresholds, when it bans networks."""
    name, lines = _value(rules.name), list[str]()
    grown, wide = rules.increment, rules.escalate
    if grown is not None:
        facts: dict[str, object] = {"factor": grown.factor, "multipliers": grown.multipliers or None}
        facts |= {"formula": grown.formula or None, "overalljails": grown.overalljails or None}
        for key in ("maxtime", "rndtime", "forget"):
            duration_ms = getattr(grown, f"{key}_ms")
            facts[key] = None if duration_ms is None else format_duration(duration_ms)
        lines += _table(f"[jail.{name}.increment]", facts)
    for step in rules.thresholds if rules.steps or rules.first_scope else ():
        facts = {"maxretry": step.maxretry, "findtime": format_duration(step.findtime_ms)}
        lines += _table(
            f"[[jail.{name}.step]]", {**facts, "bantime": _bantime(step.bantime_ms), **_scope(step.scope)}
        )
    if wide is not None:
        facts = {"ipv4": wide.ipv4, "ipv6": wide.ipv6, "addresses": wide.addresses}
        facts |= {"findtime": format_duration(wide.findtime_ms), "bantime": _bantime(wide.bantime_ms)}
        facts["spared"] = wide.spared if wide.spared != "nothing" else None
        lines += _table(f"[jail.{name}.escalate]", facts)
    if rules.behaviour is not None:
        lines += _table(f"[jail.{name}.behaviour]", asdict(rules.behaviour))
    return lines


def _known_good(rules: Jail) -> dict[str, object]:
    """Who is known good, where somebody is."""
    if rules.known_good_ms is None:
        return {}
    return {
        "known_good": format_duration(rules.known_good_ms),
        "known_good_factor": rules.known_good_factor,
    }


def _scope(scope: Scope | None) -> dict[str, dict[str, object]]:
    """From where events count, as `where` and `unless`."""
    regions = {} if scope is None else {"where": scope.where, "unless": scope.unless}
    return {
        key: {name: value for name, value in asdict(region).items() if value}
        for key, region in regions.items()
        if region is not None
    }


def _table(header: str, facts: Mapping[str, object]) -> list[str]:
    return ["", header, *(f"{key} = {_value(value)}" for key, value in facts.items() if value is not None)]


def _bantime(bantime_ms: int | None) -> int | str:
    return -1 if bantime_ms is None else format_duration(bantime_ms)


def _section(settings: DeciderSettings | ShipSettings, usual: object, *, whole: bool) -> list[str]:
    """The lines of a fleet's role; on a machine's own log only those that are not as usual."""
    given = {name: getattr(settings, name) for name in type(settings).__slots__}
    return [
        f"{name.removesuffix('_bytes')} = {_value(value)}"
        for name, value in given.items()
        if value is not None and (whole or value != getattr(usual, name))
    ]


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case tuple():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            return f"{{{', '.join(f'{_value(name)} = {_value(each)}' for name, each in value.items())}}}"
        case _:
            escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
