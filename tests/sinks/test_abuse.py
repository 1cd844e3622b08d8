"""Reports of abuse: what they say, and what they never do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from schemas.errors import Transient
from sinks.contract import TAKEN, Background, Reception, Transport
from tests.sinks.following import AT_MS, ban
from tests.sinks.sending import doubt, sending, transport
from tests.sinks.servers import HttpReceiver, Told, http_server

ATTACKER = "185.220.101.7"
KNOWN = Background(AT_MS, ("root",), ("sshd",), ("secret-host",), ("sshd",), ("a line",), (), "T1110.001")
REPEATED = (
    b'{"errors":[{"detail":"You can only report the same IP address once in 15 minutes.","status":403}]}'
)


@pytest.fixture
def server() -> Iterator[HttpReceiver]:
    """An HTTP server."""
    with http_server() as made:
        yield made


def reporting(server: HttpReceiver, folder: Path, categories: tuple[str, ...] = ()) -> Transport:
    """A sink to it."""
    key = folder / "key"
    key.write_text("k3y\n", encoding="ascii")
    key.chmod(0o600)
    return transport("abuseipdb:", url=f"{server.url}/report", token_file=str(key), categories=categories)


def test_abuseipdb_is_told_what_its_form_asks_for_and_nothing_of_ours(
    server: HttpReceiver, tmp_path: Path
) -> None:
    """Read back as a form: the address, its categories, and no line, user or host."""
    made = reporting(server, tmp_path)
    assert made.send([sending(ban(prefix=ATTACKER, jail="a&b=\x1b[31m"), known=KNOWN)]) == [TAKEN]
    (request,) = server.requests
    form = parse_qs(request.body.decode("ascii"), strict_parsing=True)
    assert form == {
        "ip": [ATTACKER],
        "categories": ["18,22"],
        "comment": ["banstream: 5 failures within 10m in jail a&b=\\x1b[31m"],
        "timestamp": ["2026-11-22T09:00:00.123Z"],
    }
    assert (request.path, request.headers["key"]) == ("/report", "k3y")
    assert "authorization" not in request.headers
    made.close()


def test_abuseipdb_hears_of_an_address_once_in_15_minutes(server: HttpReceiver, tmp_path: Path) -> None:
    """Of networks, private addresses and operators' bans never; what it had before a restart is taken."""
    made = reporting(server, tmp_path, categories=("15",))
    first = ban(prefix=ATTACKER)
    others = (
        ban(prefix=ATTACKER, at_ms=AT_MS + 899_000),
        ban(prefix="185.220.101.0/24"),
        ban(prefix="10.1.2.3"),
        ban(prefix="185.220.101.8", who="root"),
        ban(prefix="185.220.101.8", expired=True),
    )
    for each in (first, *others):
        assert made.send([sending(each)]) == [TAKEN]
    assert len(server.requests) == 1
    server.answers.append(Told(403, REPEATED))
    assert made.send([sending(ban(prefix=ATTACKER, at_ms=AT_MS + 900_000))]) == [TAKEN]
    assert b"categories=15" in server.requests[1].body
    made.close()


@pytest.mark.parametrize(("status", "after_ms"), [(429, 7_000), (401, 30_000), (403, 30_000), (500, 0)])
def test_abuseipdbs_limit_is_waited_for(
    server: HttpReceiver, tmp_path: Path, status: int, after_ms: int
) -> None:
    """As it says; where the key is wrong, too, since that is a matter of the configuration."""
    made = reporting(server, tmp_path)
    server.answers.append(Told(status, b"{}", {"Retry-After": "7"} if status == 429 else {}))
    with pytest.raises(Transient) as caught:
        made.send([sending(ban(prefix=ATTACKER))])
    assert caught.value.retry_after_ms == after_ms
    server.answers.append(Told(422, b'{"errors":[{"detail":"The ip must be valid."}]}'))
    (answer,) = made.send([sending(ban(prefix=ATTACKER))])
    assert (answer.reception, "must be valid" in answer.said) == (Reception.HOPELESS, True)
    made.close()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    """A key that is missing, a category that is none."""
    key = tmp_path / "key"
    key.write_text("k", encoding="ascii")
    key.chmod(0o600)
    assert doubt("abuseipdb:") == "token_file: the file with your API key"
    assert "categories" in str(doubt("abuseipdb:", token_file=str(key), categories=("99",)))
    assert doubt("abuseipdb:", token_file=str(key)) is None
