"""Several filters on one source: the same lines give the same decisions, live, shipped and replayed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banstream.config import Settings, load_settings
from banstream.trial import ReplayCounts, over_files
from banstream.watches import watches
from eventlog.memory import MemoryLog
from producers.filters import filters_of
from producers.offline import match_files
from producers.producer import Producer
from producers.spool import Spool
from schemas.codec import decode_frame
from schemas.errors import Fenced, LogError
from schemas.records import Ban, Decision
from schemas.shipments import Shipment, key_of
from schemas.topics import DECISIONS
from streams.embedded import EmbeddedDecider

NOW_MS = 1_795_338_000_000
STEP_MS = 20
SPOOL_BYTES = 1 << 24
MESSAGES = {
    "sshd": "sshd[{n}]: Failed password for root from {ip} port {port} ssh2",
    "dovecot": "dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<a>, "
    "method=PLAIN, rip={ip}, lip=192.0.2.1, TLS, session=<s{n}>",
    "postfix": "postfix/smtpd[{n}]: warning: unknown[{ip}]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
    "vsftpd": 'vsftpd[{n}]: [ann] FAIL LOGIN: Client "{ip}"',
    "own": "own[{n}]: refused {ip}",
    "old": "old[{n}]: turned away {ip}",
    "repeated": "sshd[{n}]: message repeated 3 times: [ Failed password for root from {ip} port {port} ssh2]",
    "cron": "CRON[{n}]: nothing to see, {ip}",
}
ADDRESSES = [*(f"198.51.{net}.7" for net in range(5)), "2001:db8:1::7", "2001:db8:2::7"]
OWN = """
service = "own"
title = "a service of one's own"
programs = ["own"]

[[failed]]
line = 'refused {ip}'

[[sample]]
line = 'refused 192.0.2.7'
says = ["failed", "192.0.2.7"]
"""
OLD = "[Definition]\nfailregex = ^\\s*\\S+ old\\[\\d+\\]: turned away <HOST>$\n"
FILTERS = ["sshd", "dovecot", "postfix", "vsftpd", "own", "old"]
JAILS = st.lists(
    st.tuples(
        st.lists(
            st.sampled_from(["sshd", "dovecot", "postfix", "vsftpd", "own", "old"]), min_size=1, max_size=3
        )
        | st.just(["auto"]),
        st.integers(1, 5),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)
LINES = st.lists(
    st.tuples(st.sampled_from(list(MESSAGES)), st.sampled_from(ADDRESSES)), min_size=5, max_size=60
)
HAPPENS = ["read", "send", "send again", "decide", "kill shipper", "kill decider"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 900)),
        st.tuples(
            st.sampled_from(["read", "send", "send again", "decide", "kill shipper", "kill decider"]),
            st.just(0),
        ),
    ),
    max_size=40,
)
Facts = tuple[str, str, int, int | None, int, int]


@dataclass(frozen=True)
class Site:
    """A folder with a log file, its configuration and two filters of its own."""

    folder: Path

    @property
    def log(self) -> Path:
        """The file that all jails watch."""
        return self.folder / "mail.log"

    def configured(self, jails: Sequence[tuple[list[str], int, bool]]) -> Settings:
        """Settings with a jail for each: filters, maxretry, and whether it names the file by a glob."""
        self.log.touch()
        paths = {"own": str(self.folder / "own.toml"), "old": str(self.folder / "old.conf")}
        Path(paths["own"]).write_text(OWN, encoding="utf-8")
        Path(paths["old"]).write_text(OLD, encoding="utf-8")
        text = [
            f'[log]\nurl = "sqlite://{self.folder}/log.db"\n[defaults]\nbantime = "1h"\nfindtime = "1s"\n'
        ]
        for number, (names, maxretry, by_glob) in enumerate(jails):
            filters = ", ".join(f'"{paths.get(name, name)}"' for name in dict.fromkeys(names))
            source = f"file:{self.folder}/*.log" if by_glob else f"file:{self.log}"
            text.append(
                f'[jail.j{number}]\nfilter = [{filters}]\nsource = "{source}"\nmaxretry = {maxretry}\n'
                'start = "beginning"\nkinds = ["failed", "probed"]\n'
            )
        file = self.folder / "c.toml"
        file.write_text("".join(text), encoding="utf-8")
        return load_settings(str(file), check="filters")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield Site(Path(folder))


def written(lines: Sequence[tuple[str, str]]) -> bytes:
    """The lines as rsyslog writes them, one each STEP_MS."""
    found = []
    for n, (service, ip) in enumerate(lines, 1):
        at = datetime.fromtimestamp((NOW_MS + n * STEP_MS) / 1_000, UTC).isoformat(timespec="milliseconds")
        message = MESSAGES[service].format(n=1_000 + n, ip=ip, port=40_000 + n)
        found.append(f"{at} web {message}\n")
    return "".join(found).encode()


def facts(decisions: Sequence[Decision]) -> list[Facts]:
    """The bans among decisions, by what must not depend on how the lines came."""
    return sorted(
        (each.prefix, each.jail, each.at_ms, each.until_ms, each.count, each.ban_count)
        for each in decisions
        if isinstance(each, Ban)
    )


def replayed(configured: Settings, log: Path) -> list[Facts]:
    """What `replay` of the file decides."""
    names, auto = configured.filters()
    filters = filters_of(names, auto=auto)
    streams = [match_files([str(log)], filters, NOW_MS, named=len(names))]
    steps = over_files([configured.rules()], filters, streams, ReplayCounts())
    return facts([each for (decisions,) in steps for each in decisions])


class Life:
    """A shipper, a spool where there is one, and a decider; each may be killed at any moment."""

    def __init__(self, configured: Settings, *, spooled: bool) -> None:
        self.settings = configured
        self.log = MemoryLog(partitions=3 if spooled else 1, now_ms=lambda: NOW_MS)
        self.spool: Spool | None = None
        self.spool_file = Path(configured.files[-1]).parent / "spool.db"
        self.spooled = spooled
        self.begin_shipper()
        self.begin_decider()
        self.decider.govern(configured.rules())

    def begin_shipper(self) -> None:
        """A shipper that goes on where the last one was."""
        if self.spooled:
            self.spool = Spool.open(self.spool_file, SPOOL_BYTES)
            self.spool.learn_partitions(3)
        self.producer = Producer(
            self.spool or self.log,
            watches(self.settings.jails, {}),
            now_ms=lambda: NOW_MS,
            host="web" if self.spooled else "",
        )

    def begin_decider(self) -> None:
        """A decider that goes on where the last one was."""
        self.decider = EmbeddedDecider(self.log, now_ms=lambda: NOW_MS)

    def step(self, what: str) -> None:
        """One thing that happens."""
        match what:
            case "read":
                self.producer.poll()
            case "send" | "send again":
                self.send(again=what == "send again")
            case "decide":
                self.decider.poll()
            case "kill shipper":
                killed = self.producer
                if self.spool is not None:
                    self.spool.close()
                self.begin_shipper()
                self.bury(killed)
            case _:
                self.begin_decider()

    def bury(self, killed: Producer) -> None:
        """Let go of a dead shipper's files; it is fenced, or its spool is closed: it writes no more."""
        with suppress(Fenced, LogError):
            killed.close()

    def send(self, *, again: bool) -> bool:
        """Send what the spool holds; `again`: killed before it is taken out, so that it is sent once more."""
        if self.spool is None:
            return False
        messages, last = self.spool.oldest(1 << 16)
        if messages:
            key = key_of(Shipment("web", NOW_MS))
            self.log.append([replace(each, key=key) for each in messages])
            if not again:
                self.spool.drop(messages, last)
        return bool(messages)

    def end(self) -> list[Facts]:
        """All is read, sent and decided; the bans."""
        while self.producer.poll():
            pass
        while self.send(again=False):
            pass
        self.decider.catch_up()
        self.producer.close()
        if self.spool is not None:
            self.spool.close()
        found = [
            record
            for partition in range(self.log.partitions)
            for message in self.log.read(DECISIONS.name, partition, 0, limit=10**6)
            for record in decode_frame(message.value)
        ]
        return facts([each for each in found if isinstance(each, Ban)])


@pytest.mark.parametrize("spooled", [False, True], ids=["one process", "shipped"])
@settings(max_examples=150, deadline=None)
@given(JAILS, LINES, STEPS)
def test_any_filters_on_one_source_decide_as_a_replay(
    site: Site,
    spooled: bool,  # noqa: FBT001 - a parameter
    jails: list[tuple[list[str], int, bool]],
    lines: list[tuple[str, str]],
    steps: list[tuple[str, int]],
) -> None:
    """However lines of several services lie, are cut into pieces, and whoever is killed meanwhile."""
    for old in (site.log, site.folder / "spool.db"):
        old.unlink(missing_ok=True)
    configured = site.configured(jails)
    data = written(lines)
    life = Life(configured, spooled=spooled)
    with site.log.open("ab", buffering=0) as log:
        for what, size in steps:
            if what == "write":
                log.write(data[:size])
                data = data[size:]
            else:
                life.step(what)
        log.write(data)
    live, again = life.end(), replayed(configured, site.log)
    if len({by_glob for *_, by_glob in jails}) == 1:
        assert live == again
    else:  # read twice, and one reading may be ahead of the other: that moves instants, not who is banned
        assert {ban[:2] for ban in live} == {ban[:2] for ban in again}
