"""From the `[log] url` of the configuration to a log.

| url | log |
|---|---|
| `sqlite:///var/lib/banstream/log.db` | a SQLite file, by absolute path; also with four slashes |
| `sqlite:log.db` | a SQLite file, relative to the working directory |
| `kafka://host:port,host:port?option=value` | a Kafka cluster; options: eventlog.kafka.options |

A path is taken as it is: nothing is percent-decoded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from eventlog.clock import wall_clock_ms
from eventlog.contract import EventLog
from eventlog.kafka.options import parse_url
from eventlog.terms import Clock
from schemas.errors import ConfigError
from schemas.secrets import hidden

SLASHES: Final = re.compile("/{3,4}(?!/)")
KNOWN: Final = "known are sqlite:///absolute/path, sqlite:relative/path and kafka://host:port,host:port"


def open_log(
    url: str, *, read_only: bool = False, now_ms: Clock = wall_clock_ms, patience_ms: int | None = None
) -> EventLog:
    """The log that a url names; raises ConfigError for a url, and what the log's own opening raises.

    A Kafka cluster stamps messages by its own clock, and is not asked anything before the first call. No call
    waits for it longer than `patience_ms`, whatever the url says: for who has other things to look after.
    """
    if is_shared(url):
        return _kafka(url, read_only=read_only, patience_ms=patience_ms)
    from eventlog.sqlite import SqliteLog  # noqa: PLC0415 - SQLite's library, for who keeps a log in a file

    return SqliteLog.open(sqlite_path(url), read_only=read_only, now_ms=now_ms)


def check_url(url: str) -> None:
    """Raise ConfigError for a url of no log in a file or on a cluster, without opening it."""
    if is_shared(url):
        parse_url(url)
    else:
        sqlite_path(url)


def is_shared(url: str) -> bool:
    """Whether others than this machine's root may write the log that a url names."""
    return url.startswith("kafka://")


def check_reach(url: str) -> None:
    """For a command, which waits for nobody: raise Transient at once where no broker of a url is there."""
    if is_shared(url):
        from eventlog.kafka.reach import check_reach as check  # noqa: PLC0415 - as in _kafka

        check(parse_url(url))


def url_warning(url: str) -> str | None:
    """What whoever uses the log that a url names has to hear; None: nothing. Raises ConfigError."""
    return parse_url(url).warning if is_shared(url) else None


def sqlite_path(url: str) -> Path:
    """The path in a `sqlite:` url; ConfigError when it is another url, or has no path."""
    scheme, colon, rest = url.partition(":")
    if scheme == "kafka":
        raise ConfigError(f"log.url = {hidden(url)!r}: names a Kafka cluster where a file is needed; {KNOWN}")
    if scheme != "sqlite" or not colon:
        raise ConfigError(f"log.url = {hidden(url)!r}: names no event log; {KNOWN}")
    path = f"/{rest.lstrip('/')}" if SLASHES.match(rest) else rest
    if not path or path.startswith("//") or path.endswith("/"):
        raise ConfigError(f"log.url = {hidden(url)!r}: names no file; {KNOWN}")
    return Path(path)


def _kafka(url: str, *, read_only: bool, patience_ms: int | None) -> EventLog:
    """The log on a cluster; imported only here, because it takes long and needs the extra."""
    try:
        from eventlog.kafka.log import KafkaLog  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"log.url = {hidden(url)!r}: needs the Python package of {error.name!r}: "
            "pip install 'banstream[kafka]'"
        ) from error
    return KafkaLog.open(url, read_only=read_only, patience_ms=patience_ms)
