"""The configuration: one TOML file and its `conf.d/`, read into frozen settings, every problem shown at once.

With no file at all this machine's sshd is protected on whatever log it has.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, cast, get_args

from banstream import values
from banstream.toml import Problems, Table, read_files
from eventlog.urls import check_url
from producers.library import AUTO, check_name, library_names
from schemas.bounds import MOST_RETRY, MOST_SUBJECTS
from schemas.errors import ConfigError
from schemas.records import Kind
from schemas.registries import BACKENDS
from schemas.rules import MANUAL, Jail, Rules
from streams.worker.membership import MembershipName

LOCAL_FILE: Final = Path("banstream.toml")
SYSTEM_FILE: Final = Path("/etc/banstream/banstream.toml")
SYSTEM_STATE: Final = Path("/var/lib/banstream")
LEAST_SPOOL_BYTES: Final = 1 << 20
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
    """

    rules: Jail
    sources: tuple[str, ...]
    start: Start
    auto: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcerSettings:
    """How this machine's firewall is driven.

    Attributes:
        never_ban: prefixes that never enter the firewall, besides this machine's own addresses and gateways.
        protect_ssh_peers: who is logged in over ssh now is not banned either.
        keep_on_stop: stopping leaves the bans in place.
        most_per_minute: more new bans a minute trip the breaker.
        host: the name this host's enforcer records under.
        jails: only what these jails ban is banned here; none: what any bans.
        labels: this host's; bans of jails that carry another value of one of them are left alone.
    """

    backend: str = "nftables"
    never_ban: tuple[str, ...] = ()
    protect_ssh_peers: bool = False
    keep_on_stop: bool = True
    most_per_minute: int = 30_000
    host: str = field(default_factory=socket.gethostname)
    jails: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipSettings:
    """What `banstream ship` keeps on this host.

    Attributes:
        directory: where its spool and its positions are.
        spool_bytes: how many bytes of events wait there at most for a broker that is away.
        host: this host's name, part of every event's identity: files of two hosts may look the same.
        labels: put on every event that this host reads.
        key_file: the private key with which it signs what it sends; None: it does not sign.
    """

    directory: str
    spool_bytes: int = 256 << 20
    host: str = field(default_factory=socket.gethostname)
    labels: Mapping[str, str] = field(default_factory=dict)
    key_file: str | None = None

    @property
    def spool(self) -> Path:
        """The spool's file."""
        return Path(self.directory) / "ship.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeciderSettings:
    """How `banstream decide` runs on this host.

    Attributes:
        workers: how many processes.
        application: what the workers of one fleet call themselves: their group, and their transactions.
        membership: what joins the group, and brings the messages: see streams.worker.membership.
        require_enrolled: only events of enrolled hosts count; a part of the rules.
    """

    workers: int = 1
    application: str = "decider"
    membership: MembershipName = "faust"
    require_enrolled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Where a role says how it is, to Prometheus.

    Attributes:
        listen: an address of this machine and a port; None: nowhere.
    """

    listen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything configured.

    Attributes:
        files: the files read, in order; none means the built-in defaults.
        log_url: the event log.
        lateness_ms, max_subjects: see schemas.rules.Rules.
    """

    files: tuple[str, ...]
    log_url: str
    jails: tuple[JailSettings, ...]
    ship: ShipSettings
    enforcer: EnforcerSettings = field(default_factory=EnforcerSettings)
    decider: DeciderSettings = field(default_factory=DeciderSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    lateness_ms: int = 3_600_000
    max_subjects: int = 1_000_000

    def filters(self) -> tuple[tuple[str, ...], bool]:
        """The filters that jails name, and whether some jail wants the rest of the library as well."""
        named = (name for jail in self.jails if not jail.auto for name in jail.rules.filters)
        return tuple(dict.fromkeys(named)), any(jail.auto for jail in self.jails)

    def rules(self) -> Rules:
        """The jails as the decider wants them."""
        return Rules(
            jails=tuple(jail.rules for jail in self.jails),
            lateness_ms=self.lateness_ms,
            max_subjects=self.max_subjects,
            require_enrolled=self.decider.require_enrolled,
        )


def load_settings(file: str | None, *, check: CheckDepth = "sources") -> Settings:
    """Read the configuration: this file, or the first of the usual ones, or none.

    `check`: `sources` for who is going to read them: one that cannot be read is a problem, too. `filters` for
    who has no need to, and no right perhaps. `names` for who decides, enforces, gives a command or looks at
    the log: filters and sources may be another host's. Jails then have the sources they name, and no usual
    ones, and no filter's code is loaded.

    Raises:
        ConfigError: with every problem found.
    """
    path = _find(file)
    problems = Problems()
    paths = [path, *sorted((path.parent / "conf.d").glob("*.toml"))] if path else []
    top = read_files(paths, problems)
    settings = _settings(top, tuple(map(str, paths)), check=check)
    top.done()
    if problems.found:
        raise ConfigError(*problems.found)
    return settings


def default_log_url() -> str:
    """The embedded log of root, or of a user who only looks."""
    return f"sqlite://{state_directory()}/log.db"


def state_directory() -> Path:
    """Where root, or a user who only looks, keeps what has to outlive a process."""
    if os.geteuid() == 0:
        return SYSTEM_STATE
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "banstream"


def _find(file: str | None) -> Path | None:
    if file is not None:
        return Path(file)
    return next((path for path in (LOCAL_FILE, SYSTEM_FILE) if path.exists()), None)


def _settings(top: Table, files: tuple[str, ...], *, check: CheckDepth) -> Settings:
    log = top.table("log")
    log_url = log.take("url", _log_url, default_log_url())
    log.done()
    decider = top.table("decider")
    lateness_ms = decider.take("lateness", values.duration_ms, 3_600_000)
    max_subjects = decider.take("max_subjects", values.between(1_000, MOST_SUBJECTS), 1_000_000)
    workers = _decider(decider)
    decider.done()
    enforcer = _enforcer(top.table("enforcer"))
    ship = _ship(top.table("ship"))
    metrics = top.table("metrics")
    listen = metrics.take("listen", values.listen, None)
    metrics.done()
    return Settings(
        files=files,
        log_url=log_url,
        jails=_jails(top, check=check),
        ship=ship,
        enforcer=enforcer,
        decider=workers,
        metrics=MetricsSettings(listen=listen),
        lateness_ms=lateness_ms,
        max_subjects=max_subjects,
    )


def _decider(table: Table) -> DeciderSettings:
    usual = DeciderSettings()
    return DeciderSettings(
        workers=table.take("workers", values.between(1, 64), usual.workers),
        application=table.take("application", _application, usual.application),
        membership=table.take("membership", _membership, usual.membership),
        require_enrolled=table.take("require_enrolled", values.flag, usual.require_enrolled),
    )


def _membership(value: object) -> MembershipName:
    return cast("MembershipName", values.one_of(*get_args(MembershipName))(value))


def _application(value: object) -> str:
    name = values.text(value)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
        raise ValueError("at most 100 letters, digits, dots, dashes and underscores")
    return name


def _backend(value: object) -> str:
    from importlib.metadata import entry_points

    return values.one_of(*sorted({each.name for each in entry_points(group=BACKENDS)}))(value)


def _enforcer(table: Table) -> EnforcerSettings:
    usual = EnforcerSettings()
    settings = EnforcerSettings(
        backend=table.take("backend", _backend, usual.backend),
        never_ban=table.take("never_ban", values.prefixes, usual.never_ban),
        protect_ssh_peers=table.take("protect_ssh_peers", values.flag, usual.protect_ssh_peers),
        keep_on_stop=table.take("keep_on_stop", values.flag, usual.keep_on_stop),
        most_per_minute=table.take("most_per_minute", values.between(1, 10_000_000), usual.most_per_minute),
        host=table.take("host", values.host, usual.host),
        jails=table.take("jails", values.texts, usual.jails),
        labels=table.take("labels", values.labels, usual.labels),
    )
    table.done()
    return settings


def _ship(table: Table) -> ShipSettings:
    usual = ShipSettings(directory=str(state_directory()))
    settings = ShipSettings(
        directory=table.take("directory", values.directory, usual.directory),
        spool_bytes=table.take("spool", values.size_bytes(LEAST_SPOOL_BYTES), usual.spool_bytes),
        host=table.take("host", values.host, usual.host),
        labels=table.take("labels", values.labels, usual.labels),
        key_file=table.take("key_file", values.file, usual.key_file),
    )
    table.done()
    return settings


def _jails(top: Table, *, check: CheckDepth) -> tuple[JailSettings, ...]:
    defaults_table = top.table("defaults")
    defaults = _jail("", defaults_table, _built_in())
    defaults_table.done()
    jail_tables = dict(top.table("jail").tables())
    if not jail_tables:
        jail_tables = {"sshd": top.table("jail").table("sshd")}
    read = [_enabled_jail(name, table, defaults, check=check) for name, table in jail_tables.items()]
    return _told_apart(_routed(tuple(filter(None, read))))


def _built_in() -> JailSettings:
    return JailSettings(
        rules=Jail(name="", filters=(), ignoreip=("127.0.0.0/8", "::1")), sources=(), start="recent"
    )


def _enabled_jail(
    name: str, table: Table, defaults: JailSettings, *, check: CheckDepth
) -> JailSettings | None:
    enabled = table.take("enabled", values.flag, default=True)
    own: tuple[str, ...] = (name,) if name in library_names() else ()
    filters = table.take("filter", _filters(check), own)
    if not filters:
        table.problem("filter", None, FILTER)
    if name == MANUAL or len(name) > JAIL_NAME_CHARACTERS or not name.isprintable():
        table.problem("", name, f"a name of up to {JAIL_NAME_CHARACTERS} characters other than {MANUAL}")
    unset: tuple[str, ...] = ()
    sources = table.take("source", _sources if check == "sources" else values.texts, unset)
    sources = sources or defaults.sources or _usual_sources(filters, check)
    jail = _jail(name, table, defaults, filters=filters, sources=sources)
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
    return JailSettings(
        rules=Jail(
            name=name,
            filters=filters,
            findtime_ms=table.take("findtime", values.duration_ms, rules.findtime_ms),
            maxretry=table.take("maxretry", values.between(1, MOST_RETRY), rules.maxretry),
            bantime_ms=table.take("bantime", values.bantime_ms, rules.bantime_ms),
            ignoreip=table.take("ignoreip", values.prefixes, rules.ignoreip),
            kinds=table.take("kinds", values.some_of(*get_args(Kind)), rules.kinds),
            hosts=table.take("hosts", values.texts, rules.hosts),
            labels=table.take("labels", values.labels, rules.labels),
            ports=table.take("ports", values.ports, rules.ports),
            forgive=table.take("forgive", values.flag, rules.forgive),
        ),
        sources=sources,
        start=table.take("start", _start, usual.start),
    )


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


def _told_apart(jails: tuple[JailSettings, ...]) -> tuple[JailSettings, ...]:
    """Jails that share a filter but not their sources select their events by source too."""
    told: list[JailSettings] = []
    for jail in jails:
        others = [other for other in jails if set(other.rules.filters) & set(jail.rules.filters)]
        same = all(other.sources == jail.sources for other in others)
        rules = jail.rules if same else replace(jail.rules, sources=jail.sources)
        told.append(replace(jail, rules=rules))
    return tuple(told)


def _log_url(value: object) -> str:
    url = values.text(value)
    try:
        check_url(url)
    except ConfigError as error:
        raise ValueError(
            f'an event log, such as "sqlite:///var/lib/banstream/log.db" or "kafka://host:9092" ({error})'
        ) from error
    return url


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
                raise ValueError(f"{FILTER} ({error})") from error
        if AUTO in names and len(names) > 1:
            raise ValueError(f'"{AUTO}" alone, or names: it stands for every filter that no jail names')
        return names

    return filters


def _check_filter(name: str, check: CheckDepth) -> None:
    if check == "names":
        check_name(name)
    else:
        from producers.filters import load_filter

        load_filter(name)


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
        raise ValueError(f"sources that can be read; {'; '.join(wrong)}")
    return specs
