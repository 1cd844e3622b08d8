"""What the roles say: a sentence and its facts, one line each, whoever wrote what is in them.

A call gives a constant sentence with facts, `log.info("Watching source=%s", source)`; here the facts are put
in. What others wrote may hold anything: a value with blanks, quotes or signs is quoted, and what could steer
a terminal or begin a line is escaped, so that a line of the log is one line, and a fact is one value.
"""

from __future__ import annotations

import json
import logging
import re
import signal
from datetime import UTC, datetime
from typing import Any, Final

import click
import orjson

from banstream.show import printable
from eventlog.kafka.quiet import quiet_libraries
from schemas.steering import harmless

FACT: Final = re.compile(r"(?: (\w+)=)?%[-+ #0]*\d*(?:\.\d+)?[sdrif]")
"""A place where a value goes, and the name of the fact that it is, if it has one."""
BARE: Final = re.compile(r"[^\s\"'=\\]+").fullmatch
FORMATS: Final = ("text", "json")
NOTICE: Final = 25
"""What fail2ban says of bans at: above INFO, below WARNING."""

logging.addLevelName(NOTICE, "NOTICE")


def logging_options(command: Any) -> Any:
    """The options by which every role says how much it tells, and how."""
    for option in (
        click.option(
            "--log-to",
            default="stderr",
            metavar="stderr|syslog|journal",
            help="Where it says what it does [default: stderr]. syslog:SOCKET: another than /dev/log.",
        ),
        click.option(
            "--log-format",
            type=click.Choice(FORMATS),
            default="text",
            help="On stderr, or to syslog; the journal has every fact as a field.",
        ),
        click.option("--debug", is_flag=True, help="Everything, and what the libraries say."),
        click.option("--quiet", is_flag=True, help="Only warnings and errors on stderr."),
    ):
        command = option(command)
    return command


def begin_logging(
    *, quiet: bool = False, debug: bool = False, log_format: str = "text", log_to: str = "stderr"
) -> None:
    """Log to a target; SIGHUP, SIGUSR1 and SIGUSR2 wait until a role's loop runs. Raises ConfigError.

    `debug`: the libraries speak as well; else banstream says in its own words what matters of theirs.
    """
    from banstream.log_targets import handler

    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    logging.basicConfig(handlers=[handler(log_to, log_format=log_format)], level=level, force=True)
    quiet_libraries(quiet=not debug)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})


class Lines(logging.Formatter):
    """For people: time, level, sentence, facts as `name=value`."""

    def __init__(self, *, timed: bool = True) -> None:
        """Without the time, where who takes the line adds it."""
        super().__init__(f"{'%(asctime)s ' if timed else ''}%(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line of a record, its facts put in."""
        record.message = _told(record)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """A traceback, each line made harmless."""
        return "\n".join(map(printable, super().formatException(ei).splitlines()))


class JsonLines(logging.Formatter):
    """For machines: one JSON object a line, each fact a field of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        sentence, facts = taken_apart(record)
        wire: dict[str, Any] = {
            **facts,
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": sentence,
        }
        if record.exc_info:
            wire["traceback"] = self.formatException(record.exc_info)
        return harmless(orjson.dumps(wire, default=str)).decode("utf-8")


def taken_apart(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """The sentence of a record, and its facts by name; those too that stand within the sentence."""
    within: dict[str, Any] = getattr(record, "facts", {})
    arguments = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
    template = str(record.msg)
    places = list(FACT.finditer(template))
    if len(places) != len(arguments):
        return record.getMessage(), {**within}
    named = {place[1]: value for place, value in zip(places, arguments, strict=True) if place[1]}
    facts = {**named, **within}
    rest = tuple(value for place, value in zip(places, arguments, strict=True) if not place[1])
    sentence = FACT.sub(lambda place: "" if place[1] else place[0], template)
    return sentence % rest if rest else sentence, facts


def quoted(value: object) -> object:
    """A fact's value as one word: numbers as they are, texts quoted where they are no plain word."""
    if isinstance(value, int | float):
        return value
    text = str(value)
    return text if BARE(text) and text.isprintable() else printable(json.dumps(text, ensure_ascii=False))


def _told(record: logging.LogRecord) -> str:
    template = str(record.msg)
    places = list(FACT.finditer(template))
    arguments = record.args if isinstance(record.args, tuple) else ()
    if len(places) != len(arguments):
        return printable(record.getMessage())
    values = tuple(
        quoted(value) if place[1] else value for place, value in zip(places, arguments, strict=True)
    )
    return printable(template % values) if values else printable(template)
