"""Mail to a real SMTP server: what it says, when it is sent again, and that nothing gets into its head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings

from schemas.errors import Transient
from schemas.topics import DECISIONS
from sinks.contract import TAKEN, Background, Reception
from tests.sinks.certificates import Certificates
from tests.sinks.following import AT_MS, Following, ban, failed, put
from tests.sinks.hostile import hostile_text
from tests.sinks.sending import doubt, sending, transport
from tests.sinks.servers import MailServer, mail_server

OTHERS = {"content-type", "content-transfer-encoding", "mime-version"}
"""Headers of the message's form."""


def test_a_ban_is_told_in_full() -> None:
    """Who, why, until when, with lines and history; the same mail twice has one Message-ID."""
    known = Background(
        AT_MS - 412_000, ("admin", "root"), ("sshd",), ("web1",), ("sshd",), ("a line", "another")
    )
    with mail_server() as server:
        made = transport("mail:ops@example.org,root", server=f"127.0.0.1:{server.port}")
        for _ in range(2):
            assert made.send([sending(ban(), known=known)]) == [TAKEN]
    first, second = server.mails
    assert first["Subject"] == "banstream on bans1: [sshd] banned 203.0.113.7"
    assert (first["From"], first["To"]) == ("banstream@bans1", "ops@example.org, root")
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Message-ID"] == second["Message-ID"]
    text = first.get_content()
    for part in (
        "5 failures within 10m in jail sshd",
        "ban number 2 of it",
        "admin, root",
        "  | a line",
        "web1",
    ):
        assert part in text
    assert server.envelopes[0] == ("banstream@bans1", ["ops@example.org", "root"])


def test_ten_thousand_bans_make_one_mail_a_minute() -> None:
    """The first at once; a mail of ten thousand is one that can be read."""
    with mail_server() as server:
        following = Following(most=20_000, every_ms=60_000)
        following.receiver = transport("mail:ops@example.org", server=f"127.0.0.1:{server.port}")  # type: ignore[assignment]
        runner = following.made()
        put(following.log, DECISIONS, ban(0))
        following.turn(runner)
        for message in range(20):
            bans = (ban(message * 500 + each, f"198.51.{message}.{each % 250}") for each in range(1, 501))
            put(following.log, DECISIONS, *bans)
        following.turn(runner, for_ms=61_000)
    assert len(server.mails) == 2
    storm = server.mails[1]
    assert storm["Subject"] == "banstream on bans1: 10000 times ban; sshd: 10000"
    text = storm.get_content()
    assert "... and 8980 more" in text
    assert len(text) < 200_000


@pytest.fixture(scope="module")
def standing_server() -> Iterator[MailServer]:
    """A server for many mails."""
    with mail_server() as made:
        yield made


@settings(max_examples=40, deadline=None)
@given(text=hostile_text)
def test_whatever_is_in_a_line_the_mail_is_as_it_would_be(standing_server: MailServer, text: str) -> None:
    """No header, no recipient, no end of the mail, no terminal code; read back by Python's own parser."""
    standing_server.mails.clear()
    made = transport("mail:ops@example.org", server=f"127.0.0.1:{standing_server.port}")
    known = Background(AT_MS, (text,), (text,), (text,), (text,), (text,))
    batch = [sending(ban(why=text, who=text), known=known), sending(failed(line=text))]
    assert made.send(batch) == [TAKEN] * 2
    assert made.send(batch[1:]) == [TAKEN]
    ours = ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted"]
    for mail in standing_server.mails:
        names = [name for name, _ in mail.items()]
        assert [name for name in names if name in ours] == ours
        assert {name.lower() for name in names} - {each.lower() for each in ours} == OTHERS
        assert all(line.isprintable() for line in mail.get_content().splitlines())
    assert standing_server.envelopes[-1] == ("banstream@bans1", ["ops@example.org"])


def test_what_a_server_says_decides() -> None:
    """A mail whose contents are refused is hopeless; for anything else it is sent again."""
    with mail_server() as server:
        made = transport("mail:a@example.org,b@example.org", server=f"127.0.0.1:{server.port}")
        server.says.extend(["554 5.7.1 spam", "451 4.7.1 greylisted"])
        (answer,) = made.send([sending(ban())])
        assert (answer.reception, answer.said) == (Reception.HOPELESS, "554 5.7.1 spam")
        with pytest.raises(Transient, match="greylisted"):
            made.send([sending(ban())])
        server.says_to = {"a@example.org": "550 no such user"}
        assert made.send([sending(ban())]) == [TAKEN]
        server.says_to["b@example.org"] = "550 nor this one"
        with pytest.raises(Transient, match="no recipient is taken"):
            made.send([sending(ban())])
    with pytest.raises(Transient, match="refused"):
        made.send([sending(ban())])


def test_over_starttls_with_a_password_from_a_file(tmp_path: Path) -> None:
    """The server's certificate is looked at; the password is in no error."""
    certificates = Certificates(tmp_path)
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text("s3cret\n", encoding="utf-8")
    with mail_server(certificates.server_context(), auth=True) as server:
        given = {"user": "bans", "password_file": str(secret), "server": f"localhost:{server.port}"}
        made = transport("mail:ops@example.org", **given, ca_file=str(certificates.ca))
        assert made.send([sending(ban())]) == [TAKEN]
        assert server.logins == [(b"bans", b"s3cret")]
        with pytest.raises(Transient, match="certificate verify failed"):
            transport("mail:ops@example.org", **given).send([sending(ban())])
        secret.write_text("another", encoding="utf-8")
        with pytest.raises(Transient) as caught:
            made.send([sending(ban())])
        assert "another" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_password_goes_over_no_open_line(tmp_path: Path) -> None:
    """A server that offers no STARTTLS does not get it."""
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text("s3cret", encoding="utf-8")
    with mail_server(auth=True) as server:
        given = {"user": "bans", "password_file": str(secret), "server": f"localhost:{server.port}"}
        with pytest.raises(Transient, match="offers no STARTTLS"):
            transport("mail:ops@example.org", **given).send([sending(ban())])
    assert server.logins == []


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    """Addresses that are none, and a secret that anybody can read."""
    assert "not 'a b@example.org'" in (doubt("mail:a b@example.org") or "")
    assert "mail: and addresses" in (doubt("mail:") or "")
    assert "from with one address" in (doubt("mail:root", **{"from": "x\r\nBcc: y"}) or "")
    secret = tmp_path / "password"
    secret.write_text("s3cret", encoding="utf-8")
    secret.chmod(0o644)
    said = doubt("mail:root", user="x", password_file=str(secret)) or ""
    assert "everybody can read" in said
    assert "s3cret" not in said


def test_a_password_that_smtp_cannot_say_ends_no_sink(tmp_path: Path) -> None:
    """The file is named; it is looked at again later."""
    certificates = Certificates(tmp_path)
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text("s3cret\N{EURO SIGN}", encoding="utf-8")
    with mail_server(certificates.server_context(), auth=True) as server:
        given = {"user": "bans", "password_file": str(secret), "server": f"localhost:{server.port}"}
        made = transport("mail:ops@example.org", **given, ca_file=str(certificates.ca))
        with pytest.raises(Transient, match="plain ASCII") as caught:
            made.send([sending(ban())])
    assert str(secret) in str(caught.value)
    assert "s3cret" not in str(caught.value)
