"""Bans as STIX indicators, in a collection of a real TAXII server."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from schemas.errors import Transient
from schemas.records import Ban
from sinks.contract import TAKEN, Reception
from tests.banstream.service import eventually
from tests.sinks.following import AT_MS, ban
from tests.sinks.hostile import hostile_text
from tests.sinks.sending import doubt, sending, transport, written
from tests.sinks.servers import Told, http_server
from tests.sinks.test_formats import KNOWN

COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
REQUIRED = {"type", "spec_version", "id", "created", "modified", "pattern", "pattern_type", "valid_from"}
"""STIX 2.1, sections 3.2 and 4.7.1; what each looks like: 2.9, 2.11, 3.1, 9.6."""
FORMS = {
    "type": "indicator",
    "spec_version": r"2\.1",
    "id": "indicator--[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "pattern_type": "stix",
    "pattern": r"\[ipv[46]-addr:value = '[0-9a-f.:/]+'\]",
    **dict.fromkeys(("created", "modified", "valid_from", "valid_until"), INSTANT),
}
TAXII = "application/taxii+json;version=2.1"


@pytest.fixture(scope="module")
def taxii(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The url of an empty collection of medallion, with a user and a password."""
    folder = tmp_path_factory.mktemp("taxii")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    root = f"http://127.0.0.1:{port}/api1/"
    collection = {
        "id": COLLECTION,
        "title": "bans",
        "can_read": True,
        "can_write": True,
        "media_types": ["application/stix+json;version=2.1"],
        "objects": [],
        "manifest": [],
    }
    information = {"title": "a", "versions": [TAXII], "max_content_length": 9_765_625}
    data = {
        "/discovery": {"title": "t", "default": root, "api_roots": [root]},
        "api1": {"information": information, "status": [], "collections": [collection]},
    }
    backend = {
        "module_class": "MemoryBackend",
        "module": "medallion.backends.memory_backend",
        "filename": str(folder / "data.json"),
    }
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    made = {"backend": backend, "users": {"banstream": "s3cret"}, "taxii": {"max_page_size": 100}}
    (folder / "made.json").write_text(json.dumps(made), encoding="utf-8")
    program = str(Path(sys.executable).with_name("medallion"))
    command = [program, "--host", "127.0.0.1", "--port", str(port), str(folder / "made.json")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            url = f"{root}collections/{COLLECTION}/"
            eventually(lambda: _is_there(url), "it answers")
            yield url
        finally:
            server.terminate()


def _is_there(url: str) -> bool:
    with suppress(OSError):
        objects_of(url)
        return True
    return False


def objects_of(url: str) -> list[dict[str, Any]]:
    """What a collection holds."""
    given = b64encode(b"banstream:s3cret").decode("ascii")
    request = urllib.request.Request(  # noqa: S310 - on loopback
        f"{url}objects/", headers={"Accept": TAXII, "Authorization": f"Basic {given}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        found: list[dict[str, Any]] = json.load(answer).get("objects", [])
        return found


def test_a_real_taxii_server_has_each_ban_once(taxii: str, tmp_path: Path) -> None:
    """Sent again it is the same object; who is not let in says so."""
    password = tmp_path / "password"
    password.write_text("s3cret", encoding="ascii")
    password.chmod(0o600)
    made = transport(f"taxii+{taxii}", user="banstream", password_file=str(password))
    batch = [sending(ban(number, f"203.0.113.{number}"), "stix", KNOWN) for number in range(3)]
    assert made.send(batch) == made.send(batch[1:] + batch[:1]) == [TAKEN] * 3
    found = {each["name"]: each for each in objects_of(taxii)}
    assert sorted(found) == ["203.0.113.0", "203.0.113.1", "203.0.113.2"]
    assert len(objects_of(taxii)) == 3
    assert found["203.0.113.2"] == json.loads(batch[2].body)
    made.close()
    stranger = transport(f"taxii+{taxii}")
    with pytest.raises(Transient, match="401"):
        stranger.send(batch)
    stranger.close()


@settings(max_examples=20, deadline=None)
@given(jail=hostile_text.filter(bool), user=hostile_text)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prefix": "2001:db8::/64", "until_ms": None},
        {"prefix": "203.0.113.0/24"},
        {"who": "root", "findtime_ms": None},
    ],
)
def test_an_indicator_is_as_stix_says(fields: dict[str, Any], jail: str, user: str) -> None:
    """By the tables of its specification, whatever is in names and reasons."""
    who = {**fields, **({"why": user} if "who" in fields else {})}
    decided: Ban = ban(jail=jail[:100], **who)
    found = json.loads(written(decided, "stix", KNOWN._replace(users=(user,))))
    assert found.keys() >= REQUIRED
    for name, form in FORMS.items():
        assert name not in found or re.fullmatch(form, found[name]), name
    assert found.get("valid_until", "9999") > found["valid_from"]
    assert found["pattern"].endswith(f":value = '{decided.prefix}']")


def test_what_a_server_does_not_take_is_a_dead_letter_with_its_words() -> None:
    """Of a status the failures; a batch that is too large goes in parts; what is no status is no success."""
    with http_server() as server:
        made = transport(f"taxii+{server.url}/api1/collections/{COLLECTION}")
        batch = [sending(ban(number), "stix") for number in range(2)]
        failed = {"id": json.loads(batch[1].body)["id"], "message": "no room"}
        status = {"id": "x", "status": "complete", "failures": [failed]}
        server.answers.extend([Told(413, b""), Told(202, json.dumps({**status, "failures": []}).encode())])
        assert made.send(batch) == [TAKEN]
        server.answers.extend([Told(202, json.dumps(status).encode()), Told(404)])
        answers = made.send(batch)
        assert [each.reception for each in answers] == [Reception.TAKEN, Reception.HOPELESS]
        assert answers[1].said == "no room"
        for body in (b"[]", b"<html>", b'{"status":"complete","failures":[7]}'):
            server.answers.append(Told(200, body))
            with pytest.raises(Transient, match="no status of TAXII's"):
                made.send(batch)
        made.close()


def test_what_is_no_indicator_is_said() -> None:
    """A ban that had ended when it was decided has no time in which it is valid."""
    with pytest.raises(ValueError, match="had ended"):
        written(ban(until_ms=AT_MS), "stix")
    assert "a collection's url" in str(doubt("taxii+https://host/api1/"))
