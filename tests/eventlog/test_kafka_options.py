"""From a `kafka://` url to how clients connect; no broker is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.kafka.options import KafkaOptions, parse_url
from eventlog.urls import check_url, open_log
from schemas.errors import ConfigError


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A file whose first line is a password."""
    path = tmp_path / "password"
    path.write_text("s3cret +%\nsecond line\n")
    return path


def test_servers_and_defaults() -> None:
    """Servers are separated by commas, the port is 9092 by default, and nothing is encrypted or signed in."""
    options = parse_url("kafka://one,two.example:19092,[2001:db8::1]:9093")
    assert options == KafkaOptions(servers=("one:9092", "two.example:19092", "[2001:db8::1]:9093"))
    assert options.client()["security_protocol"] == "PLAINTEXT"


def test_options_are_decoded() -> None:
    """Values are percent-decoded, and the timeout is a duration."""
    options = parse_url("kafka://one?prefix=team%2Done.&timeout=1m")
    assert (options.prefix, options.timeout_ms) == ("team-one.", 60_000)


def test_a_password_comes_from_its_file(password: Path) -> None:
    """The file's first line is the password; with a user alone the mechanism is SCRAM-SHA-512."""
    client = parse_url(f"kafka://one?user=shipper&password_file={password}&tls=on").client()
    assert client["sasl_plain_password"] == "s3cret +%"  # noqa: S105 - made up here
    assert client["sasl_mechanism"] == "SCRAM-SHA-512"
    assert client["security_protocol"] == "SASL_SSL"


def test_a_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file, $BANSTREAM_KAFKA_PASSWORD is the password."""
    monkeypatch.setenv("BANSTREAM_KAFKA_PASSWORD", "from the environment")
    assert parse_url("kafka://one?user=shipper").password == "from the environment"  # noqa: S105 - as above


def test_a_password_is_never_shown(password: Path) -> None:
    """Neither the options' text nor what they call the place holds the password."""
    options = parse_url(f"kafka://one?user=shipper&password_file={password}")
    assert "s3cret" not in repr(options) + str(options) + options.place


def test_a_certificate_means_tls(password: Path) -> None:
    """With `ca`, `cert` or `key` connections are encrypted without further words."""
    options = parse_url(f"kafka://one?ca={password}&cert={password}&key={password}")
    assert options.tls
    assert options.client()["ssl_certfile"] == str(password)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("kafka://", "server = '': expected host or host:port"),
        ("kafka://one:70000", "server = 'one:70000'"),
        ("kafka://one,,two", "server = ''"),
        ("kafka://shipper:pw@one", "credentials go into ?user="),
        ("kafka://one?pasword_file=x", "option = 'pasword_file': expected one of prefix"),
        ("kafka://one?prefix=a&prefix=b", "each option once"),
        ("kafka://one?prefix=a/b", "prefix = 'a/b'"),
        ("kafka://one?timeout=soon", "timeout = 'soon': expected a duration"),
        ("kafka://one?timeout=10ms", "timeout = '10ms'"),
        ("kafka://one?user=shipper", "user = 'shipper': expected a password"),
        ("kafka://one?user=shipper&password_file=/nonexistent", "password_file = '/nonexistent'"),
        ("kafka://one?password_file=/nonexistent", "expected user= beside it"),
        ("kafka://one?user=u&password_file={file}&mechanism=MD5", "mechanism = 'MD5'"),
        ("kafka://one?user=u&password_file={file}&mechanism=PLAIN", "expected tls=on or ca=FILE"),
        ("kafka://one?tls=maybe", "tls = 'maybe'"),
        ("kafka://one?ca=/nonexistent", "ca = '/nonexistent': expected a file"),
        ("kafka://one?key={file}", "expected cert= beside it"),
        ("kafka://one?tls=off&ca={file}", "tls = 'off'"),
    ],
)
def test_a_wrong_url_is_refused(password: Path, url: str, expected: str) -> None:
    """Each mistake is a ConfigError with the option, its value and what was expected; no password in it."""
    with pytest.raises(ConfigError) as refused:
        open_log(url.replace("{file}", str(password)))
    assert expected in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_every_mistake_is_told_at_once() -> None:
    """A url with several mistakes gets a problem for each."""
    with pytest.raises(ConfigError) as refused:
        check_url("kafka://one:0x1?prefix=%20&tls=maybe&nonsense=1")
    assert len(refused.value.problems) == 4
