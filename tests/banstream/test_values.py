"""Values of the configuration, as people write them."""

from __future__ import annotations

import pytest

from banstream import values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["ssh", "8000:8003"], (22, 8000, 8001, 8002, 8003)),
        ("ssh,http", (22, 80)),
        ("2222", (2222,)),
        ("0:65535", ()),
        ([22, 80, "22"], (22, 80)),
        ([], ()),
    ],
)
def test_ports_are_written_as_in_fail2ban(value: object, expected: tuple[int, ...]) -> None:
    """Numbers, services' names and ranges; all ports are no limit."""
    assert values.ports(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("nosuchservice", "'nosuchservice' is no service of /etc/services"),
        ("8000:9000", "40 ports at most, not 1001"),
        ("9:8", 'a range such as "8000:8010"'),
        ("-1", "a whole number from 1 to 65535"),
        ("65536", "a whole number from 1 to 65535"),
        ("0:5", "a whole number from 1 to 65535"),
        ("22:", "a whole number from 1 to 65535"),
        ("\u0661", "a whole number from 1 to 65535"),
        (0, "a whole number from 1 to 65535"),
        (True, "a whole number from 1 to 65535"),
        ([True], "a whole number from 1 to 65535"),
        (2.5, "a whole number from 1 to 65535"),
        ({"a": 1}, "a whole number from 1 to 65535"),
    ],
)
def test_what_are_no_ports_is_refused(value: object, expected: str) -> None:
    """With what would be right; never another error."""
    with pytest.raises(ValueError, match=expected):
        values.ports(value)


def test_prefixes_are_taken_as_fail2ban_takes_them() -> None:
    """Several in one string, and with bits beyond their length."""
    assert values.prefixes("127.0.0.1/8 ::1 10.0.0.0/8") == ("127.0.0.0/8", "::1", "10.0.0.0/8")
    assert values.prefixes(["192.0.2.7/255.255.255.0", "2001:db8::1/64"]) == ("192.0.2.0/24", "2001:db8::/64")
    with pytest.raises(ValueError, match="an address or prefix"):
        values.prefixes("192.0.2.1/33")
