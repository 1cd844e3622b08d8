"""What rotation and compression make of a name."""

from __future__ import annotations

import pytest

from producers.sources.rotated_names import count_of, is_backup, root_of


@pytest.mark.parametrize(
    "name",
    [
        "auth.log.1",
        "auth.log.12.gz",
        "auth.log-20261130",
        "auth.log-30-11-2026.xz",
        "auth.log-2026-11-30",
        "auth.log-1796040372",
        "auth.log.20261130-120000.bz2",
        "auth.log-20261130.1",
        "auth-20261130.log",
        "auth-2026-11-30.log.zst",
        "auth.log.old",
        "auth.log.1.old",
        "auth.log.bak",
        "auth.log~",
        "auth.log.gz",
    ],
)
def test_the_root_of_a_rotated_name(name: str) -> None:
    """Numbers, dates of any order before or behind the suffix, compressed or not."""
    assert root_of(name) == "auth.log"


@pytest.mark.parametrize(
    "name", ["auth.log", "worker-1", "worker-2.log", "web1.access.log", "a.log2", "1", ".1"]
)
def test_other_logs_are_their_own_root(name: str) -> None:
    """A number that is a name's own is no rotation."""
    assert root_of(name) == name


def test_counts_and_backups() -> None:
    """The number of rotations; names that people and editors give before an edit."""
    assert [count_of(name) for name in ("a.log.2", "a.log.13.gz", "a.log", "a.log-20261130")] == [2, 13, 0, 0]
    assert is_backup("auth.log.bak")
    assert is_backup("auth.log.bak.gz")
    assert not is_backup("auth.log.old")
