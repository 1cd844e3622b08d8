"""The manual page, made from the help of every command: `make man` writes deploy/man/banstream.1 (man(7))."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from banstream.cli import banstream
from banstream.overview import COMMANDS

VERBATIM: Final = "\b"
"""How click marks a paragraph that is not to be filled."""
EXIT_CODES: Final = (
    ("0", "Done."),
    ("1", "Nothing was found, or some of it failed; each command's help says which."),
    ("2", "Wrong usage, or a wrong configuration: every problem is on standard error."),
    ("3", "What is needed cannot be reached: the event log, a file, the firewall."),
    ("130", "Interrupted."),
)
FILES: Final = (
    ("/etc/banstream/banstream.toml", "The configuration, with conf.d/*.toml beside it."),
    ("./banstream.toml", "Read instead where only root and who runs this can have written it."),
    ("/var/lib/banstream/log.db", "The event log of this machine, unless [log] url names another."),
)
ENVIRONMENT: Final = (
    ("BANSTREAM_KAFKA_PASSWORD", "The password of user= in a kafka:// url without password_file=."),
    ("NO_COLOR", "No colours."),
    ("RUNTIME_DIRECTORY", "Where a role says that it is alive (systemd sets it)."),
    ("TZ", "The zone of times in logs that name none, and of those that are shown."),
)


def page() -> str:
    """The manual page."""
    lines = ['.TH BANSTREAM 1 "" banstream "User Commands"']
    lines += [".SH NAME", r"banstream \- " + _escaped("Fail2ban for a fleet, as an event stream")]
    lines += [".SH SYNOPSIS", r".B banstream", r".I COMMAND", r"[\fIOPTION\fR]... [\fIARGUMENT\fR]..."]
    lines += [".SH DESCRIPTION", *_paragraphs(banstream.help or "")]
    lines.append(".SH COMMANDS")
    context = click.Context(banstream, info_name="banstream")
    for name in COMMANDS:
        command = banstream.get_command(context, name)
        if command is not None:
            lines += _command(command, click.Context(command, parent=context, info_name=name))
    for title, rows in (("EXIT STATUS", EXIT_CODES), ("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT)):
        lines += [f".SH {title}", *_rows(rows)]
    return "\n".join(lines) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """A command, and those inside it."""
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "{_escaped(f"{context.command_path} {usage}")}"'
    yield from _paragraphs(command.help or "")
    records = [each.get_help_record(context) for each in command.get_params(context)]
    yield from _rows(record for record in records if record is not None)
    for name, each in getattr(command, "commands", {}).items():
        yield from _command(each, click.Context(each, parent=context, info_name=name))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        lines = [line.strip() for line in paragraph.splitlines()]
        if number:
            yield ".PP"
        if lines[0] == VERBATIM:
            yield from (".nf", ".RS 4", *map(_escaped, lines[1:]), ".RE", ".fi")
        else:
            yield from map(_escaped, lines)


def _rows(rows: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, text in rows:
        yield from (".TP", rf"\fB{_escaped(name)}\fR", *map(_escaped, text.splitlines()))


def _escaped(text: str) -> str:
    """Text that man(7) shows as it is."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
