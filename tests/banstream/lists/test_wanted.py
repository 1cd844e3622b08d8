"""What a configuration says of lists: `ignoreip`, `ignoreself`, `[list.NAME]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from banstream.config import Settings, load_settings
from banstream.lists.wanted import ignored
from schemas.errors import ConfigError
from schemas.rules import SELF

JAIL = '[jail.sshd]\nsource = "stdin"\n'


def settings(tmp_path: Path, text: str) -> Settings:
    """A configuration, read."""
    file = tmp_path / "banstream.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(str(file))


@pytest.mark.parametrize(
    ("value", "prefixes", "lists"),
    [
        ("127.0.0.1/8 ::1", ("127.0.0.0/8", "::1"), ()),
        ("10.0.0.1, home.example.org.", ("10.0.0.1",), ("name:home.example.org",)),
        (["CAFE.de", "cafe.de", "localhost"], (), ("name:cafe.de", "name:localhost")),
        ("file:/etc/my friends.txt", (), ("file:/etc/my friends.txt",)),
        (["192.0.2.0/24", "file:/a", "file:/b"], ("192.0.2.0/24",), ("file:/a", "file:/b")),
        ([], (), ()),
    ],
)
def test_ignoreip_takes_prefixes_names_and_files(
    value: object, prefixes: tuple[str, ...], lists: tuple[str, ...]
) -> None:
    """As fail2ban writes them, or as an array."""
    assert ignored(value) == (prefixes, lists)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("10.0.0.300", "host names"),
        ("10.0.0.300 10.0.0.1", "and not 10.0.0.300"),
        ("192.0.2.1/33 home.example.org", "and not 192.0.2.1/33"),
        ("file:friends", "an absolute path"),
        ("-home.example.org", "host names"),
        ("a" * 64 + ".org", "host names"),
        ("h\u00f6me.example.org", "host names"),
        ([f"h{nth}.example.org" for nth in range(1_025)], "1024 names and files at most"),
        (7, "a string or an array"),
    ],
)
def test_what_ignoreip_does_not_take_is_said(value: object, why: str) -> None:
    """An address with a mistake in it is no host name."""
    with pytest.raises(ValueError, match=why):
        ignored(value)


def test_every_jail_goes_by_the_lists_and_own_addresses_are_wanted_once(tmp_path: Path) -> None:
    """Those of [list.NAME] by all, of an ignoreip by its own jail, or by all where it is in [defaults]."""
    read = settings(
        tmp_path,
        '[defaults]\nignoreip = "home.example.org"\n'
        '[list.office]\nfrom = "file:/etc/office"\nmax_entries = 10\n'
        + JAIL
        + '[jail.web]\nfilter = "nginx"\nsource = "stdin"\nignoreip = ["192.0.2.1", "file:/etc/web"]\n'
        "ignoreself = false\n",
    )
    by_name = {jail.rules.name: jail.rules for jail in read.jails}
    assert by_name["sshd"].spared_by == ("name:home.example.org", "list:office", SELF)
    assert by_name["web"].spared_by == ("file:/etc/web", "list:office")
    places = {each.name: each.place for each in read.wanted()}
    assert places == {
        "name:home.example.org": "name:home.example.org",
        "list:office": "file:/etc/office",
        SELF: SELF,
        "file:/etc/web": "file:/etc/web",
    }
    assert {each.name: each.most_entries for each in read.wanted()}["list:office"] == 10


def test_in_a_fleet_nobodys_addresses_are_everybodys_own(tmp_path: Path) -> None:
    """The enforcer of each host keeps that host's out."""
    read = settings(tmp_path, '[log]\nurl = "kafka://localhost:9092"\n' + JAIL)
    assert read.wanted() == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('from = "http://example.org/x"', "what comes unencrypted can be anybody's"),
        ('from = "file:x"', 'expected "file:/path" or "https://..."'),
        ("", "list.x.from = nothing: expected where it comes from"),
        ('from = "file:/x"\naction = "log"', "one of allow, ban"),
        ('from = "file:/x"\nformat = "xml"', "one of auto, plain, csv"),
        ('from = "file:/x"\nrefresh = "1s"', 'a duration of "1m" or more'),
        ('from = "file:/x"\nmax_entries = 9999999', "from 1 to 2097152"),
        ('from = "file:/x"\nmax_size = "1"', "a size such as"),
        ('from = "file:/x"\nurl = "y"', "list.x.url"),
    ],
)
def test_what_a_list_cannot_be_is_said(tmp_path: Path, text: str, said: str) -> None:
    """One problem, with the key."""
    with pytest.raises(ConfigError) as refused:
        settings(tmp_path, f"[list.x]\n{text}\n" + JAIL)
    (problem,) = refused.value.problems
    assert said in problem
