"""A source of another zone, from its first line to what people are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.banstream.service import Service, eventually


def test_a_source_in_another_zone_is_told_of(tmp_path: Path) -> None:
    """In the log of `up`, by `status` and by `doctor`: how far its times are from the clock."""
    service = Service(tmp_path)
    service.log.touch()
    service.configure('maxretry = 2\nfilter = "dropbear"', enforcer='backend = "null"')
    service.start()
    try:
        at = datetime.now(UTC) - timedelta(hours=3)
        with service.log.open("a", encoding="utf-8") as log:
            log.write(f"{at:%b %e %H:%M:%S} web dropbear[1]: Bad password attempt for 'a' from 192.0.2.1:5\n")
        said = "times 3 h behind the clock"
        eventually(lambda: said in service.run("status", "--json", code=None).stdout, "status says it")
        eventually(lambda: said in service.errors, "the log says it")
        assert said in service.run("doctor", code=None).stdout
    finally:
        service.stop()
