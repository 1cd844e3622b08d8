"""The configuration: one TOML file and its `conf.d/`, read into frozen settings, every problem shown at once.

With no file at all this machine's sshd is protected on whatever log it has.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from logging import getLogger
from pathlib import Path
from typing import Final, Literal, cast, get_args

from banstream import values
from banstream.intake_config import read_intakes
from banstream.jails import CheckDepth, JailSettings, read_jails
from banstream.lists.wanted import Wanted, read_lists, wanted_by
from banstream.locating import locate
from banstream.places import read_files as read_places
from banstream.show import printable
from banstream.sink_config import read_sinks
from banstream.toml import Problems, Table, read_files
from banstream.waiting import WaitingJail
from eventlog.urls import check_url, is_shared
from producers.atlas import WhereaboutsFiles
from producers.intakes.settings import Intake
from schemas.bounds import MOST_SUBJECTS
from schemas.errors import ConfigError
from schemas.registries import BACKENDS
from schemas.rules import SELF, Rules
from sinks.settings import SinkSettings
from streams.worker.membership import MembershipName

SYSTEM_STATE: Final = Path("/var/lib/banstream")
LEAST_SPOOL_BYTES: Final = 1 << 20
LEAST_LOG_BYTES: Final = 64 << 20
USUAL_LOG_BYTES: Final[int | None] = 4 << 30

log = getLogger("banstream")


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
        key_file: the private key with which it signs what it records; None: it does not sign.
    """

    backend: str = "nftables"
    never_ban: tuple[str, ...] = ()
    protect_ssh_peers: bool = False
    keep_on_stop: bool = True
    most_per_minute: int = 30_000
    host: str = field(default_factory=socket.gethostname)
    jails: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    key_file: str | None = None


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
        require_enrolled: only events of enrolled hosts count; a part of the rules. Unless the file says
            otherwise on for a log on Kafka, which others may write, and off for this machine's own.
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
        lists: those of `[list.NAME]`; sinks: those of `[sink.NAME]`; intakes: those of `[intake.NAME]`.
        places: the files that know where addresses are.
        max_log_bytes: an embedded log that is larger lets its oldest events go; None: it may grow.
        lateness_ms, max_subjects: see schemas.rules.Rules.
        waiting: jails that wait, of a role that goes on without them; those of them that go on by their
            last good rules are among `jails`.
        configuration: what it was read from.
    """

    files: tuple[str, ...]
    log_url: str
    jails: tuple[JailSettings, ...]
    ship: ShipSettings
    lists: tuple[Wanted, ...] = ()
    sinks: tuple[SinkSettings, ...] = ()
    intakes: tuple[Intake, ...] = ()
    places: WhereaboutsFiles = field(default_factory=WhereaboutsFiles)
    enforcer: EnforcerSettings = field(default_factory=EnforcerSettings)
    decider: DeciderSettings = field(default_factory=DeciderSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    lateness_ms: int = 3_600_000
    max_subjects: int = 1_000_000
    max_log_bytes: int | None = USUAL_LOG_BYTES
    waiting: tuple[WaitingJail, ...] = ()
    configuration: Configuration | None = field(default=None, compare=False, repr=False)

    @property
    def origin(self) -> str:
        """The files read, in a sentence."""
        return ", ".join(self.files) or "none: the built-in jail for sshd"

    def filters(self) -> tuple[tuple[str, ...], bool]:
        """The filters that jails name, and whether some jail wants the rest of the library as well."""
        named = (name for jail in self.jails if not jail.auto for name in jail.rules.filters)
        return tuple(dict.fromkeys(named)), any(jail.auto for jail in self.jails)

    def wanted(self) -> tuple[Wanted, ...]:
        """The lists that jails name, and those of whom to ban; a fleet has no own addresses."""
        names = dict.fromkeys(name for jail in self.jails for name in jail.rules.spared_by)
        if is_shared(self.log_url):
            names.pop(SELF, None)
        return (*wanted_by(names, self.lists), *(each for each in self.lists if each.bans))

    def rules(self) -> Rules:
        """The jails as the decider wants them."""
        return Rules(
            jails=tuple(jail.rules for jail in self.jails),
            lateness_ms=self.lateness_ms,
            max_subjects=self.max_subjects,
            require_enrolled=self.decider.require_enrolled,
        )


class Configuration:
    """The files of a configuration, as they were read once; what they name may change meanwhile."""

    def __init__(self, file: str | None) -> None:
        """Read this file, or the first of the usual ones, or none, and its `conf.d`."""
        paths = locate(file)
        self._files = tuple(map(str, paths))
        self._problems = Problems()
        self._top = read_files(paths, self._problems)

    def settings(self, *, check: CheckDepth) -> tuple[Settings, Problems]:
        """What they say, as this machine is now, and everything that is wrong."""
        problems = self._problems.copy()
        top = self._top.anew(problems)
        settings = _settings(top, self._files, check=check)
        top.done()
        return replace(settings, configuration=self), problems


def load_settings(file: str | None, *, check: CheckDepth | Literal["log"] = "sources") -> Settings:
    """Read the configuration: this file, or the first of the usual ones, or none.

    `check`: `sources` for who is going to read them: one that cannot be read is a problem, too. `filters` for
    who has no need to, and no right perhaps. `names` for who decides or enforces: filters and sources may be
    another host's. Jails then have the sources they name, and no usual ones, and no filter's code is loaded.
    `log` for who looks at the log or says a word to it: as `names`, but what is wrong elsewhere is only
    warned of, and has its default. A broken file has to take nobody's `unban` away.

    Raises:
        ConfigError: with every problem found.
    """
    settings, problems = Configuration(file).settings(check="names" if check == "log" else check)
    if problems.found and (check != "log" or problems.with_log):
        raise ConfigError(*problems.found)
    for problem in problems.found:
        log.warning("Configuration wrong, going on with its log alone problem=%s", printable(problem))
    return settings


def default_log_url() -> str:
    """The embedded log of root, or of a user who only looks."""
    return f"sqlite://{state_directory()}/log.db"


def state_directory() -> Path:
    """Where root, or a user who only looks, keeps what has to outlive a process."""
    if os.geteuid() == 0:
        return SYSTEM_STATE
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "banstream"


def _settings(top: Table, files: tuple[str, ...], *, check: CheckDepth) -> Settings:
    table = top.table("log")
    log_url = table.take("url", _log_url, default_log_url())
    max_log_bytes = table.take("max_size", values.size_limit(LEAST_LOG_BYTES), USUAL_LOG_BYTES)
    table.done()
    decider = top.table("decider")
    lateness_ms = decider.take("lateness", values.duration_ms, 3_600_000)
    max_subjects = decider.take("max_subjects", values.between(1_000, MOST_SUBJECTS), 1_000_000)
    workers = _decider(decider, shared=is_shared(log_url))
    decider.done()
    enforcer = _enforcer(top.table("enforcer"))
    ship = _ship(top.table("ship"))
    metrics = top.table("metrics")
    listen = metrics.take("listen", values.listen, None)
    metrics.done()
    lists = read_lists(top)
    places = read_places(top.table("places"))
    names = tuple(each.name for each in lists if not each.bans)
    jails = read_jails(top, check=check, files=places, lists=names)
    return Settings(
        files=files,
        log_url=log_url,
        jails=jails,
        sinks=read_sinks(top, jails),
        intakes=read_intakes(top, jails, log_url),
        lists=lists,
        places=places,
        ship=ship,
        enforcer=enforcer,
        decider=workers,
        metrics=MetricsSettings(listen=listen),
        lateness_ms=lateness_ms,
        max_subjects=max_subjects,
        max_log_bytes=max_log_bytes,
    )


def _decider(table: Table, *, shared: bool) -> DeciderSettings:
    usual = DeciderSettings(require_enrolled=shared)
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
        key_file=table.take("key_file", values.file, usual.key_file),
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


def _log_url(value: object) -> str:
    url = values.text(value)
    try:
        check_url(url)
    except ConfigError as error:
        raise ValueError(
            f'an event log, such as "sqlite:///var/lib/banstream/log.db" or "kafka://host:9092" ({error})'
        ) from error
    return url
