"""`banstream log`: what is done with a whole event log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from banstream.config import load_settings
from banstream.instants import now_ms
from banstream.options import config_option, json_option
from banstream.show import json_line, say
from eventlog.claim import Claim
from eventlog.contract import EventLog
from eventlog.identity import keep_id, log_id
from eventlog.sqlite import SqliteLog
from eventlog.sqlite_room import compact
from eventlog.urls import check_reach, open_log, sqlite_path
from schemas.errors import ConfigError, LogError
from schemas.secrets import hidden
from schemas.topics import EVENTS

if TYPE_CHECKING:
    from banstream.migration import Migration
    from producers.spool import Spool

SOURCE_READER = "source/"
MB = 1 << 20


@click.group("log")
def log_command() -> None:
    """Make an embedded log small again, or move it to a Kafka cluster."""


@log_command.command("compact")
@json_option
@config_option
def compact_command(as_json: bool, config_file: str | None) -> int:
    """Give the disk back what an embedded log has no use for any more.

    A log's file keeps the size that it once had: what is dropped makes room for what comes. This packs what
    an older banstream wrote, and makes the file as small as it can be. Stop `banstream up` before; it takes
    seconds for a million events, and as much room on the disk again as is left in the end.
    """
    path = sqlite_path(load_settings(config_file, check="log").log_url)
    if not path.exists():
        raise LogError(f"{path}: no such file")
    with _held(path, "up"):
        before_bytes = path.stat().st_size
        compact(path)
    after_bytes = path.stat().st_size
    if as_json:
        json_line({"path": str(path), "before_bytes": before_bytes, "after_bytes": after_bytes})
    else:
        say(f"{path}: {before_bytes / MB:.1f} MB before, {after_bytes / MB:.1f} MB now.")
    return 0


@log_command.command("migrate")
@click.argument("source", metavar="sqlite://PATH")
@click.argument("target", metavar="kafka://HOST:PORT,...")
@json_option
@config_option
def migrate_command(source: str, target: str, as_json: bool, config_file: str | None) -> int:
    r"""Carry everything in an embedded log over to a Kafka cluster, and go on there as if nothing had moved.

    Events, commands, decisions, bans, state, rules, what enforcers did, dead letters; how far each sink has
    sent them; and how far `up` has read this host's sources, into the spool of `[ship] directory`, from where
    `banstream ship` goes on. Stop `banstream up` before, make the topics, and start the roles after:

    \b
    systemctl stop banstream
    banstream topics create --partitions 8
    banstream log migrate sqlite:///var/lib/banstream/log.db kafka://broker:9092
    systemctl start banstream-ship banstream-decide banstream-enforce

    Interrupted, it goes on where it was when it is run again. The old log stays as it is.
    """
    from producers.spool import Spool

    path = sqlite_path(source)
    if not target.startswith("kafka://"):
        raise ConfigError(f"target {hidden(target)!r}: expected kafka://host:port,host:port")
    if not path.exists():
        raise LogError(f"{path}: no such file")
    ship = load_settings(config_file, check="names").ship
    with _held(path, "up"), _held(ship.spool, "ship"):
        old = SqliteLog.open(path)
        check_reach(target)
        new = open_log(target)
        spool = Spool.open(ship.spool, ship.spool_bytes)
        try:
            positions = _positions(old, spool, ship.spool)
            migration = _migrated(old, new, target)
            spool.learn_partitions(new.partitions)
            for reader, position in positions.items():
                spool.keep(reader, position)
        finally:
            spool.close()
            new.close()
            old.close()
        _give(ship.spool, path)
    _tell(migration, list(positions), as_json=as_json)
    return 0


@contextmanager
def _held(path: Path, role: str) -> Iterator[None]:
    """No other process has this role on a file meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    claim = Claim.take(path, role)
    try:
        yield
    finally:
        claim.release()


def _positions(old: SqliteLog, spool: Spool, path: Path) -> dict[str, bytes]:
    """How far `up` has read each source; LogError where `ship` has read it already."""
    found = {reader: value for reader, value in old.positions().items() if reader.startswith(SOURCE_READER)}
    for reader, value in found.items():
        if spool.position(reader) not in {None, value}:
            raise LogError(
                f"{path}: `ship` has read {reader.removeprefix(SOURCE_READER)} already, and would read it "
                "twice or not at all; name another [ship] directory, or remove the spool"
            )
    return found


def _migrated(old: SqliteLog, new: EventLog, target: str) -> Migration:
    """Decide what the old log holds and has not decided, then carry all of it over."""
    from banstream.migration import Migration
    from banstream.sinks_moving import SinksMoving
    from eventlog.kafka.admin import drop_before
    from eventlog.kafka.options import parse_url
    from streams.embedded import EmbeddedDecider

    migration = Migration(old, new)
    decider = EmbeddedDecider(old, now_ms=now_ms)
    decider.catch_up()
    decider.close()
    with old.at_rest():  # an operator's command must not come in between
        migration.check()
        migration.run()
    keep_id(new, log_id(old))
    SinksMoving(old, new, migration.moving, log_id(old)).keep(old.positions())
    if migration.moving.begin:
        drop_before(parse_url(target), EVENTS.name, 0, migration.moving.begin)
    return migration


def _give(spool: Path, log: Path) -> None:
    """The spool belongs to whom the log does: root migrates, and the service's user ships."""
    if os.geteuid() == 0:
        owner = log.stat()
        for file in (spool, *spool.parent.glob(f"{spool.name}-*"), Path(f"{spool}.ship.lock")):
            os.chown(file, owner.st_uid, owner.st_gid)


def _tell(migration: Migration, readers: list[str], *, as_json: bool) -> None:
    sources = [reader.removeprefix(SOURCE_READER) for reader in readers]
    if as_json:
        json_line({"written": migration.written, "there": migration.there, "sources": sources})
        return
    for topic in migration.moving.ORDER:
        written, there = migration.written[topic.name], migration.there[topic.name]
        if written or there:
            say(f"{topic.name:24} {written} messages" + (f", {there} were there already" if there else ""))
    for source in sources:
        say(f"`banstream ship` goes on with {source} where `up` stopped reading.")
    say("Done. Name the new log in [log] url, and start `banstream ship`, `decide` and `enforce`.")
