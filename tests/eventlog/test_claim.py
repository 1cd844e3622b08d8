"""A role on a log: one process has it, and others can ask whether one does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventlog.claim import Claim
from schemas.errors import LogError


def test_a_role_is_held_from_taking_to_release(tmp_path: Path) -> None:
    """Asking changes nothing, before, meanwhile and after."""
    log = tmp_path / "log.db"
    assert Claim.is_held(log, "up") is False
    claim = Claim.take(log, "up")
    assert Claim.is_held(log, "up") is True
    assert Claim.is_held(log, "ship") is False
    with pytest.raises(LogError, match=f"in use by another `up`, process {os.getpid()}; stop that one"):
        Claim.take(log, "up")
    claim.release()
    assert Claim.is_held(log, "up") is False
    Claim.take(log, "up").release()


def test_what_is_no_file_is_not_known(tmp_path: Path) -> None:
    """A link in the lock's place is followed by nobody."""
    (tmp_path / "log.db.up.lock").symlink_to("/etc/passwd")
    assert Claim.is_held(tmp_path / "log.db", "up") is None
