"""What several tests of the whole program begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.banstream.service import Service, service
from tests.namespaces import Fleet, fleet


@pytest.fixture
def net() -> Iterator[Fleet]:
    """A server and an attacker."""
    with fleet("server", "attacker") as made:
        yield made


@pytest.fixture
def up(net: Fleet, tmp_path: Path) -> Iterator[Service]:
    """A configured service on the server; not running yet."""
    with service(tmp_path, net["server"]) as made:
        yield made
