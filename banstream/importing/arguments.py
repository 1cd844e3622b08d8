"""A command of fail2ban's, which a shell reads there, as a program and its arguments."""

from __future__ import annotations

import re
import shlex
from typing import Final

from banstream.ignorecommands import command
from schemas.sparing import ADDRESS

TAG: Final = re.compile(r"<[A-Za-z_][\w./:-]*>")
ADDRESSES: Final = frozenset({"<ip>", "<HOST>", "<ADDR>", "<ip4>", "<ip6>"})
SHELL: Final = frozenset("|&;<>()$`*?[]#~{}!\n")
STANDS_FOR: Final = "\0"


def arguments_of(text: str) -> list[str]:
    """The program and its arguments. Raises ValueError, with the reason, where that is not all there is."""
    others = [tag for tag in TAG.findall(text) if tag not in ADDRESSES]
    if others:
        raise ValueError(f"a command is given the address alone here, and not {others[0]}")
    plain = TAG.sub(STANDS_FOR, text)
    if SHELL & set(plain):
        raise ValueError("a command is run without a shell here: put the line into a script")
    try:
        words = [word.replace(STANDS_FOR, ADDRESS) for word in shlex.split(plain)]
    except ValueError as error:
        raise ValueError(f"not understood: {error}") from error
    return list(command(words))
