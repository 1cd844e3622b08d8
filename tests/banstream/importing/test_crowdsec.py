"""CrowdSec's decisions and allow-lists become commands of an operator, each once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from banstream.importing.crowdsec import read_lists
from schemas.errors import ConfigError
from schemas.records import Command
from schemas.topics import COMMANDS
from tests.banstream.service import Service


def decision(**facts: Any) -> dict[str, Any]:
    """A decision as cscli writes it."""
    usual = {"id": 7, "origin": "crowdsec", "scenario": "crowdsecurity/ssh-bf", "scope": "Ip", "type": "ban"}
    return {**usual, "value": "192.0.2.7", "duration": "3h59m50.5s", "simulated": False, **facts}


def written(file: Path, value: object) -> Path:
    """A file of JSON."""
    file.write_bytes(orjson.dumps(value))
    return file


def test_decisions_and_allow_lists_are_commands_given_once(tmp_path: Path) -> None:
    """Addresses and networks for what is left of their time; the rest is told, with exit code 1."""
    alerts = [
        {
            "created_at": "2026-11-30T09:00:00Z",
            "decisions": [decision(), decision(id=8, scope="Range", value="2001:db8::/32")],
        },
        {
            "created_at": "2026-11-30T09:00:00Z",
            "decisions": [
                decision(duration="-1m"),
                decision(type="captcha"),
                decision(scope="Country", value="XX"),
                decision(value="nobody"),
                decision(duration="soon"),
                "none",
            ],
        },
    ]
    lists = [
        {
            "name": "office",
            "items": [
                {"value": "198.51.100.0/24", "description": "us", "expiration": "0001-01-01T00:00:00.000Z"},
                {"value": "203.0.113.9", "expiration": "2020-01-01T00:00:00Z"},
            ],
        }
    ]
    files = [written(tmp_path / "d.json", alerts), written(tmp_path / "a.json", lists)]
    service = Service(tmp_path)
    service.configure()
    asked = ("import", "crowdsec", *map(str, files))
    told = service.json(*asked, code=1)[0]
    assert (told["given"], told["known"]) == (3, 0)
    assert sum(told["left_out"].values()) == 7
    given = {each.prefix: each for each in service.kept(COMMANDS) if isinstance(each, Command)}
    assert given.keys() == {"192.0.2.7", "2001:db8::/32", "198.51.100.0/24"}
    assert 14_380_000 < (given["192.0.2.7"].duration_ms or 0) <= 14_390_500
    assert (given["192.0.2.7"].who, given["192.0.2.7"].why) == (
        "import crowdsec",
        "CrowdSec: crowdsecurity/ssh-bf",
    )
    assert (given["198.51.100.0/24"].verb, given["198.51.100.0/24"].duration_ms) == ("allow", None)
    assert service.json(*asked, code=1)[0]["known"] == 3


def test_a_files_age_counts(tmp_path: Path) -> None:
    """What was left when it was written is less by now."""
    file = written(tmp_path / "d.json", [{"decisions": [decision(duration="2h")]}])
    then = time.time() - 3_600
    os.utime(file, (then, then))
    (found,) = read_lists([file]).decided
    assert 3_590_000 < (found.duration_ms or 0) <= 3_600_000
    assert read_lists([written(file, None)]).decided == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "neither decisions nor allow-lists"),
        ('{"x": 1}', "neither decisions nor allow-lists"),
        ("- yaml", "expected what `cscli ... -o json` prints"),
    ],
)
def test_what_is_no_list_of_cscli_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """With the file, and the command that writes one."""
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        read_lists([file])
