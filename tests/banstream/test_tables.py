"""Tables fit the terminal, and are as wide as their words in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from banstream.show import counted, table
from banstream.tables import Bad, cells, fold, lines

LONG = "file:/var/log/nginx/very-long-name.log with filter sshd; " * 4


def test_a_table_in_a_pipe_is_as_wide_as_its_words_and_no_line_ends_in_blanks() -> None:
    """Also where the last cells of a row are empty."""
    made = list(lines(table("Two", ("name", "value"), [("a", ""), ("bbbbbb", LONG)]), None))
    assert made == ["Two", "name    value", "a", f"bbbbbb  {LONG.rstrip()}"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_fits_the_terminal_and_loses_nothing(width: int) -> None:
    """The widest column gives way; its words stand in further lines."""
    made = list(lines(table("T", ("name", "value", "n"), [("mail", LONG, 12)]), width))
    assert all(cells(line) <= width for line in made)
    said = " ".join(made[2:]).replace("mail", "", 1).replace(" 12", "", 1)
    assert "".join(said.split()) == "".join(LONG.split())


def test_a_word_that_is_too_long_is_broken_and_wide_characters_count_twice() -> None:
    """A name that an attacker chose is no longer than its column."""
    assert fold("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert fold("one two three", 7) == ["one two", "three"]
    assert fold("日本語", 4) == ["日本", "語"]
    assert fold("日", 1) == ["日"]
    assert cells("日本") == 4


def test_what_is_wrong_is_red_and_no_cell_steers_the_terminal() -> None:
    """Colours are the table's; an escape in a cell is text."""
    made = list(lines(table("T", ("a",), [(Bad("x\x1b[2J"),), ("y",)]), None, red=lambda text: f"<{text}>"))
    assert made == ["T", "a", "<x\\x1b[2J>", "y"]


def test_counts_have_their_number() -> None:
    """One ban, two bans, no bans."""
    assert [counted(count, "ban") for count in (0, 1, 2)] == ["0 bans", "1 ban", "2 bans"]
    assert counted(2, "copy", "copies") == "2 copies"


@pytest.mark.parametrize(
    ("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(env: dict[str, str], *, coloured: bool) -> None:
    """A real terminal has them, NO_COLOR and a dumb one have not."""
    code = (
        "from banstream.show import show, table; from banstream.tables import Bad\n"
        "show(table('T', ('a',), [(Bad('x'),)]))"
    )
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=follower, env={**kept, "TERM": "xterm", **env}
    ) as made:
        assert made.wait(30) == 0
    os.close(follower)
    shown = os.read(leader, 4_096)
    os.close(leader)
    assert (b"\x1b[31mx" in shown) is coloured
