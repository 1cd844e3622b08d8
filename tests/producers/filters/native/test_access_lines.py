"""Whom an access log's line names: never the host that a client asked for."""

from __future__ import annotations

import pytest

from producers.filters import load_native
from producers.filters.samples import scan

REST = '[22/Nov/2026:09:00:00 +0000] "POST /wp-login.php HTTP/1.1" 200 1 "x" "x"'
CLIENT = "203.0.113.9"


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (f"{CLIENT} - -", CLIENT),
        (f"{CLIENT} - bob", CLIENT),
        (f"{CLIENT} - a b [c", CLIENT),
        (f"www.example.com {CLIENT} - -", CLIENT),
        (f"www.example.com:443 {CLIENT} - bob", CLIENT),
        (f"cafe.de {CLIENT} - -", CLIENT),
        (f"face {CLIENT} - -", CLIENT),
        (f"[2001:db8::8] {CLIENT} - -", CLIENT),
        (f"[2001:db8::8]:443 {CLIENT} - -", CLIENT),
        (f"198.51.100.8:443 {CLIENT} - -", CLIENT),
        (f"_ {CLIENT} - -", CLIENT),
        (f"198.51.100.8 {CLIENT} - -", None),
        (f"198.51.100.8 {CLIENT} - bob", None),
        (f"198.51.100.8 {CLIENT} - a b", None),
        (f"198.51.100.8 {CLIENT} - [x", None),
        (f"198.51.100.8 {CLIENT} - [22/Nov/2026:09:00:00 +0000]", None),
        (f"198.51.100.8 {CLIENT} - [22/x", None),
        (f"198.51.100.8 {CLIENT} [ [", None),
        (f"198.51.100.8 {CLIENT} - \\x22 [", None),
        (f"2001:db8::8 {CLIENT} - -", None),
        (f"dead::beef {CLIENT} - -", None),
        (f"{CLIENT} 198.51.100.8 - -", None),
        (f"{CLIENT}, 198.51.100.8 - -", None),
        (f"{CLIENT} 198.51.100.8 -", None),
        (f"198.51.100.8 {CLIENT} bob", None),
        (f"198.51.100.8 - {CLIENT} - -", None),
        (f"198.51.100.8 - {CLIENT} - bob", None),
        (f"2001:db8::8 - {CLIENT} - [x", None),
        (f"{CLIENT} 198.51.100.8:8081 -", CLIENT),
        (f"{CLIENT} www.example.com bob", CLIENT),
        (f"{CLIENT} - - bob", None),
    ],
)
def test_the_columns_before_the_time(columns: str, named: str | None) -> None:
    """A host before the address is none; of two addresses nobody can tell which is whose."""
    rows = scan(load_native("wordpress"), f"{columns} {REST}")
    assert [row[2] for row in rows] == ([] if named is None else [named])


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (f"www.example.com {CLIENT} - -", CLIENT),
        (f"198.51.100.8 {CLIENT} - bob", CLIENT),
        (f"2001:db8::8 {CLIENT} - -", CLIENT),
        (f"[2001:db8::8] {CLIENT} - -", CLIENT),
        (f"_ {CLIENT} - -", CLIENT),
        (f"{CLIENT} - -", None),
        (f"{CLIENT} - bob", None),
    ],
)
def test_a_declared_layout_begins_with_the_host(columns: str, named: str | None) -> None:
    """Whatever the host looks like, the client stands behind it; a line of another layout names nobody."""
    declared = load_native("wordpress").laid_out("nginx-proxy")
    rows = scan(declared, f"{columns} {REST}")
    assert [row[2] for row in rows] == ([] if named is None else [named])
    assert declared.version != load_native("wordpress").version
