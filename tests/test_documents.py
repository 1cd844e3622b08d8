"""What the documents tell people to type is what the program takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from banstream.cli import banstream

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK: Final = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMPT: Final = re.compile(r"^[$#] (?P<command>.*)")
SPAN: Final = re.compile(r"`(banstream [a-z][^`\n]*)`")
PROGRAM: Final = re.compile(r"(?:^|&& |\| |sudo )(?:\S*/)?banstream(?= )")
PIPE: Final = {"|", ">", ">>", "<", "&&", "||", ";", "&", "2>&1", "#"}
PLACEHOLDER: Final = re.compile(r"\.\.\.|[\[|]|\b[A-Z]{4,}\b")
"""What only names its arguments, as a synopsis does."""


def commands(page: Path) -> Iterator[str]:
    """What a page says to type after `banstream`."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = PROMPT.match(line)
            if found and PROGRAM.search(found["command"]):
                for part in PROGRAM.split(found["command"])[1:]:
                    yield part.strip()
    for span in SPAN.findall(text):
        yield span.removeprefix("banstream ").strip()


def words(command: str) -> list[str]:
    """The arguments, up to a pipe or a comment."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|;<>&")
    lexer.whitespace_split = True
    found = []
    for word in lexer:
        if word in PIPE:
            break
        found.append(word)
    return found


ALL: Final = sorted({(page.name, command) for page in PAGES for command in commands(page)})


def test_the_documents_have_commands() -> None:
    """Else the next test would ask nothing."""
    assert len(ALL) > 100
    assert len({page for page, _ in ALL}) > 10


def test_every_command_of_the_documents_is_one() -> None:
    """Each has a command of that name, with these options, and arguments of the right kind and number."""
    wrong = []
    for page, command in ALL:
        if PLACEHOLDER.search(command):
            continue
        try:
            _parse(words(command))
        except (click.UsageError, ValueError) as error:
            wrong.append(f"{page}: banstream {command}: {error}")
    assert not wrong, "\n".join(wrong)


def _parse(arguments: list[str]) -> None:
    """Read a command line as the program does, without doing anything; a name alone speaks of the command."""
    context = click.Context(banstream, info_name="banstream")
    command: click.Command | None = banstream
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        command = command.get_command(context, name)
        if command is None:
            raise click.UsageError(f"no command {name}")
    if command is not None and command is not banstream and arguments:
        command.make_context(command.name, list(arguments), parent=context)


def test_a_wrong_command_would_be_found() -> None:
    """An option that is not there is no option."""
    with pytest.raises(click.UsageError):
        _parse(["bans", "--no-such-option"])
    with pytest.raises(click.UsageError):
        _parse(["no-such-command"])
