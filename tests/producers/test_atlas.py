"""Where addresses are, by files in MaxMind's format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from producers.atlas import NOWHERE, Atlas, Whereabouts, WhereaboutsFiles, check_file
from schemas.errors import SourceError
from tests.mmdb import write, write_countries, write_systems


def atlas(folder: Path, **files: str | None) -> Atlas:
    """One with both files of a folder."""
    usual: dict[str, str | None] = {"country": str(folder / "c.mmdb"), "asn": str(folder / "a.mmdb")}
    return Atlas(WhereaboutsFiles(**(usual | files)))


def test_what_the_files_say_of_an_address(tmp_path: Path) -> None:
    """Each what it knows, of both families; of others nothing, and of nothing configured nothing at all."""
    write_countries(tmp_path / "c.mmdb")
    write_systems(tmp_path / "a.mmdb")
    both = atlas(tmp_path)
    assert both.of("203.0.113.7") == Whereabouts("XA", 64_500, "Example Networks")
    assert both.of("198.51.100.7") == Whereabouts("XB", None, None)
    assert both.of("2001:db8:1::7") == Whereabouts("XA", 4_200_000_000, "Sixth")
    assert both.of("192.0.2.7") == both.of("2001:db8:2::7") == NOWHERE
    assert atlas(tmp_path, country=None).of("203.0.113.7") == Whereabouts(None, 64_500, "Example Networks")
    assert not both.notices()


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        ({"country": {"iso_code": "XA", "names": {"en": "Somewhere"}}}, Whereabouts("XA")),
        ({"country": "XA"}, Whereabouts("XA")),
        ({"country": "Somewhere", "country_code": "XA"}, Whereabouts("XA")),
        ({"registered_country": {"iso_code": "XA"}}, NOWHERE),
        ({"country": {"iso_code": "xa\x1b"}}, NOWHERE),
        (
            {"autonomous_system_number": 7, "autonomous_system_organization": "Seven"},
            Whereabouts(None, 7, "Seven"),
        ),
        ({"asn": "AS7", "as_name": "Seven"}, Whereabouts(None, 7, "Seven")),
        ({"asn": "AS7"}, Whereabouts(None, 7, None)),
        ({"asn": "AS99999999999"}, NOWHERE),
        (
            {"autonomous_system_number": 7, "autonomous_system_organization": "x" * 999},
            Whereabouts(None, 7, "x" * 256),
        ),
    ],
)
def test_the_forms_of_those_who_give_them_away(tmp_path: Path, entry: Any, known: Whereabouts) -> None:
    """And what is in none of them says nothing; names are cut to what records take."""
    right = {"country": "XB", "autonomous_system_number": 1}
    for name in ("c.mmdb", "a.mmdb"):
        write(tmp_path / name, {"192.0.2.0/24": right, "203.0.113.0/24": entry})
    assert atlas(tmp_path).of("203.0.113.7") == known


def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    """Also where it is overwritten in place; while it is wrong or gone, the last good copy goes on."""
    path = write_countries(tmp_path / "c.mmdb")
    one = atlas(tmp_path, asn=None)
    assert one.of("203.0.113.7").country == "XA"
    write_countries(path, {"203.0.113.0/24": "XC"})
    one.refresh()
    assert one.of("203.0.113.7").country == "XC"
    good = path.read_bytes()
    path.write_bytes(good[:100])
    one.refresh()
    assert one.of("203.0.113.7").country == "XC"
    (said,) = one.notices()
    assert said.startswith(f"{path}: not a database in MaxMind's format")
    assert said.endswith("by its last good copy")
    path.unlink()
    one.refresh()
    assert one.of("203.0.113.8").country == "XC"
    (said,) = one.notices()
    assert said.startswith(f"{path}: cannot be read: No such file or directory")
    path.write_bytes(good)
    one.refresh()
    assert not one.notices()


def test_a_file_of_ipv4_alone_says_nothing_of_ipv6(tmp_path: Path) -> None:
    """And that is no fault of it."""
    write(tmp_path / "c.mmdb", {"203.0.113.0/24": {"country": "XA"}}, version=4)
    one = atlas(tmp_path, asn=None)
    assert (one.of("203.0.113.7").country, one.of("2001:db8::1").country) == ("XA", None)
    assert not one.notices()


def test_a_damaged_file_ends_no_reading(tmp_path: Path) -> None:
    """An address where it is damaged is from nobody knows where."""
    path = write_countries(tmp_path / "c.mmdb", {f"10.{net}.0.0/16": "XA" for net in range(99)})
    data = bytearray(path.read_bytes())
    place = data.index(b"country")
    data[place - 1 : place + 20] = b"\xff" * 21
    path.write_bytes(data)
    try:
        check_file(str(path), of="country")
    except SourceError:
        return
    assert atlas(tmp_path, asn=None).of("10.1.0.1").country in {None, "XA"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("absent", "cannot be read: No such file or directory"),
        ("text", "not a database in MaxMind's format"),
        ("pipe", "cannot be read: it is no plain file"),
        ("a.mmdb", "a database of something else: none of its first entries holds countries"),
        ("anybody", "not read, since it cannot be trusted"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, name: str, why: str) -> None:
    """With its path and the reason; a pipe that nobody writes to does not wait."""
    (tmp_path / "text").write_text("no database", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    write_systems(tmp_path / "a.mmdb")
    write_countries(tmp_path / "anybody").chmod(0o666)
    with pytest.raises(SourceError, match=why) as refused:
        check_file(str(tmp_path / name), of="country")
    assert str(refused.value).startswith(f"{tmp_path / name}: ")
