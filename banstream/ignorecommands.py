"""What a jail says of the command that is asked whom to spare."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from banstream.lacks import Lack
from banstream.toml import Table
from eventlog.trust import doubt
from schemas.bounds import NAME_CHARACTERS
from schemas.rules import Jail
from schemas.sparing import ADDRESS, MOST_ARGUMENTS

KEY: Final = "ignorecommand"
ARGUMENTS: Final = (
    f'a program and its arguments, such as ["/usr/local/bin/is-ours", "{ADDRESS}"]: an absolute path first, '
    f"{ADDRESS} where the address is to stand, {MOST_ARGUMENTS} at most, and no shell"
)


def command(value: Any) -> tuple[str, ...]:
    """A command and its arguments; none for an empty array. Raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(ARGUMENTS)
    found = tuple(value)
    if found and not _is_command(found):
        raise ValueError(ARGUMENTS)
    return found


def _is_command(words: tuple[str, ...]) -> bool:
    fits = len(words) <= MOST_ARGUMENTS and all(len(each) <= NAME_CHARACTERS for each in words)
    whole = not any("\0" in each for each in words) and any(ADDRESS in each for each in words[1:])
    return fits and whole and words[0].startswith("/")


def check_command(table: Table, rules: Jail, *, look: bool) -> Jail:
    """The jail; one on bans without the usual command, as nobody reads lines for it.

    `look`: say whether its command can be run here.
    """
    if not rules.ignorecommand:
        return rules
    if rules.on == "bans":
        return replace(rules, ignorecommand=())
    problem = hindrance(rules.ignorecommand[0]) if look else None
    if problem is not None:
        expected = f"a program that can be run ({problem})"
        table.problem(KEY, list(rules.ignorecommand), expected, Lack("file", rules.ignorecommand[0]))
    return rules


def hindrance(program: str) -> str | None:
    """Why a program cannot be run, or must not; None where it can."""
    try:
        state = Path(program).stat()
        if not stat.S_ISREG(state.st_mode) or not os.access(program, os.X_OK):
            return f"{program}: no program that this user may run"
        why = doubt(Path(program))
    except OSError as error:
        return f"{program}: {error.strerror}"
    return None if why is None else f"{program}: not run, since it cannot be trusted: {why}"
