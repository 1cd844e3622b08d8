"""`banstream breaker`: an operator sees that new bans are refused, and lets them through again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.banstream.service import Service, eventually, service


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Service]:
    """A service whose breaker trips at the third new ban within a minute."""
    with service(tmp_path) as made:
        made.configure("maxretry = 1", enforcer='backend = "null"\nmost_per_minute = 2')
        made.start()
        yield made


def test_a_tripped_breaker_is_shown_and_reset(up: Service) -> None:
    """Exit code 1 while it refuses; after a reset what was refused is looked at anew, and banned."""
    assert up.json("breaker")[0]["breaker"] is None
    for last in range(1, 5):
        up.fail(f"203.0.113.{last}")
    eventually(lambda: up.json("breaker", code=None)[0]["breaker"] is not None, "it has tripped")
    assert "New bans are refused until" in up.run("breaker", "--config", str(up.config), code=1).stdout
    assert up.json("breaker", code=1)[0]["breaker_refused"] == 2
    up.run("breaker", "--reset", "--config", str(up.config), code=None)
    eventually(lambda: up.json("status")[0]["enforcer"]["in_force"] == 4, "all are banned")
    assert "An operator has reset the breaker" in up.errors
    assert up.process is not None
    assert up.process.poll() is None


def test_without_an_enforcer_there_is_no_breaker_to_ask(up: Service) -> None:
    """It is said so, with exit code 3."""
    assert up.stop() == 0
    said = up.run("breaker", "--reset", "--config", str(up.config), code=3).stderr
    assert "`banstream up` is not running" in said
