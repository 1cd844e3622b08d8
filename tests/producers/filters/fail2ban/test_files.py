"""How filters are named, and what is wrong in them: the error names the file, the section and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.filters.fail2ban import load
from producers.filters.fail2ban.files import parse_specification
from producers.filters.fail2ban.instants import minutes_east
from producers.library import FAIL2BAN_FOLDER as FOLDER
from producers.library import is_fail2ban
from schemas.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "path", "whole", "options"),
    [
        ("sshd", FOLDER / "sshd.conf", True, {}),
        ("sshd.conf", FOLDER / "sshd.conf", True, {}),
        ("sshd[]", FOLDER / "sshd.conf", True, {}),
        (
            "sshd[mode=aggressive, logtype=journal]",
            FOLDER / "sshd.conf",
            True,
            {"mode": "aggressive", "logtype": "journal"},
        ),
        ('a[x="1, ]2", y=\'z="q"\'][w=3]', FOLDER / "a.conf", True, {"x": "1, ]2", "y": 'z="q"', "w": "3"}),
        ("/etc/f/filter.d/a.conf", Path("/etc/f/filter.d/a.conf"), True, {}),
        ("/srv/a.local[x=]", Path("/srv/a.local"), False, {"x": ""}),
        ("/srv/a", Path("/srv/a.conf"), False, {}),
    ],
)
def test_a_filter_is_named_as_in_a_jail(text: str, path: Path, whole: bool, options: dict[str, str]) -> None:  # noqa: FBT001 - a case
    """A name is of /etc/fail2ban/filter.d, a path is a path; options are quoted or not."""
    assert parse_specification(text) == (path, whole, options)


@pytest.mark.parametrize("text", ["", "a[b", "a[b]", "a[b=1 c=2] d", "a[=1]"])
def test_what_names_no_filter_is_refused(text: str) -> None:
    """The error repeats the text."""
    with pytest.raises(ConfigError, match="filter "):
        parse_specification(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[Definition]\nfailregex = ^(<HOST>\n", r"failregex, expression 1: .*missing \)"),
        ("[Definition]\nfailregex = ^a\n", "failregex: '\\^a' captures no <HOST>"),
        ("[Definition]\nfailregex = ^<HOST> %(absent)s\n", r"failregex: %\(absent\)s names no option"),
        ("[Definition]\nfailregex = ^<HOST> 5%\n", "failregex: expected %%"),
        ("[Definition]\nfailregex = ^<HOST> <a>\na = <b>\nb = <a>\n", "failregex: .*refers to itself"),
        (
            "[Definition]\nfailregex = ^<HOST> %(a)s\na = %(b)s\nb = %(a)s\n",
            "failregex: references go deeper",
        ),
        ("[Definition]\nfailregex = ^<HOST>\nignoreregex = (\n", "ignoreregex, expression 1: "),
        ("[Definition]\nfailregex = ^<HOST>\nprefregex = ^<F-CONTENT>.+\n", "prefregex, expression 1: "),
        ("[Definition]\nfailregex = ^<HOST>\ndatepattern = ^%%Q\n", "datepattern: .*%Q is no token"),
        ("[Definition]\nfailregex = ^<HOST>\ndatepattern = ^(%%Y\n", "datepattern: "),
        ("[Definition]\nfailregex = ^<HOST>\ndatepattern = ^%%Y\n   ^%%Y\n", "datepattern: .* twice"),
        ("[Definition]\nfailregex = ^<HOST>\nlogtimezone = Mars\n", "logtimezone: expected a zone"),
        ("[Definition]\nfailregex = ^<HOST>\nmaxlines = none\n", "maxlines: expected a number of lines"),
        ("[Definition]\nfailregex =\n", "failregex: there is none"),
        ("[Definition]\nfailregex = a\nfailregex = b\n", "failregex.*already exists"),
        ("failregex = a\n", "no section headers"),
        ("[Definition]\nfailregex = \xff\n", "not UTF-8"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    """Each error names the file, and what in it is wrong."""
    path = tmp_path / "own.conf"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=f"(?s){path}.*{wrong}"):
        load(str(path))


def test_a_filter_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error names the file that was looked for."""
    with pytest.raises(ConfigError, match=r"absent\.conf: no such filter file"):
        load(str(tmp_path / "absent.conf"))


def test_an_error_of_a_local_file_names_that_file(tmp_path: Path) -> None:
    """What a .local sets is its fault."""
    path = tmp_path / "own.conf"
    path.write_text("[Definition]\nfailregex = ^<HOST>\n")
    path.with_suffix(".local").write_text("[Definition]\nfailregex = %(absent)s\n")
    with pytest.raises(ConfigError, match=r"own\.local: \[Definition\] failregex: "):
        load(str(path))


def test_a_loop_of_includes_ends(tmp_path: Path) -> None:
    """Files that include each other are read."""
    one, two = tmp_path / "one.conf", tmp_path / "two.conf"
    one.write_text("[INCLUDES]\nbefore = two.conf\n[Definition]\nfailregex = ^<HOST> %(word)s\n")
    two.write_text("[INCLUDES]\nbefore = one.conf\n[DEFAULT]\nword = w\n")
    assert load(str(one)).definition.failregex == ("^<HOST> w",)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("UTC", 0),
        ("Z", 0),
        ("CET", 60),
        ("CEST", 120),
        ("UTC+0200", 120),
        ("+0530", 330),
        ("-03:30", -210),
        ("EST", -300),
        ("CET+01", 120),
    ],
)
def test_zones_are_offsets(text: str, minutes: int) -> None:
    """A zone's abbreviation, its offset, or both together."""
    assert minutes_east(text) == minutes


def test_fail2bans_names_are_told_from_others() -> None:
    """Options, or a file that ends as fail2ban's do, or the name of one that is installed."""
    assert is_fail2ban("anything[a=b]")
    assert is_fail2ban("/x/y.conf")
    assert not is_fail2ban("/x/y.toml")
    assert not is_fail2ban("surely-not-installed")
