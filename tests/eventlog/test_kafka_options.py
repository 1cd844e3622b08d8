"""From a `kafka://` url to how clients connect; no broker is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.kafka.options import KafkaOptions, parse_url
from eventlog.urls import check_url, open_log, url_warning
from schemas.errors import ConfigError


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A file whose first line is a password."""
    path = tmp_path / "password"
    path.write_text("s3cret +%\nsecond line\n")
    path.chmod(0o640)
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
    """The file's first line is the password; with a user alone it is SCRAM-SHA-512, over TLS."""
    client = parse_url(f"kafka://one?user=shipper&password_file={password}").client()
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


@pytest.mark.parametrize("option", ["password_file", "key"])
def test_a_secret_that_everybody_can_read_is_refused(password: Path, option: str) -> None:
    """Who reads it is who it was made for: the password and the private key are refused, with the mode."""
    password.chmod(0o644)
    url = f"kafka://one?user=u&cert={password}&{option}={password}"
    with pytest.raises(ConfigError, match=rf"{option} = .*everybody can read {password} \(mode 0644\)"):
        check_url(url)


@pytest.mark.parametrize("option", ["ca", "cert", "key", "password_file"])
def test_a_file_that_others_can_write_is_refused(password: Path, option: str) -> None:
    """Who writes the certificates to trust decides who the brokers are; who writes a secret, who we are."""
    password.chmod(0o660)
    with pytest.raises(ConfigError, match=rf"{option} = .*others can write to {password} .*chmod go-w"):
        check_url(f"kafka://one?user=u&{option}={password}")


def test_who_signs_in_does_so_over_tls(password: Path) -> None:
    """Without TLS a password, or what comes of it, is anybody's on the way: `tls=off` has to be written."""
    url = f"kafka://one?user=u&password_file={password}"
    assert parse_url(url).security_protocol == "SASL_SSL"
    assert parse_url(f"{url}&tls=off").security_protocol == "SASL_PLAINTEXT"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://one", "kafka://one:9092: nobody signs in, and nothing is encrypted"),
        ("kafka://127.0.0.1,one", "nobody signs in"),
        ("kafka://127.0.0.1,localhost,[::1]:9", None),
        ("kafka://one?tls=on", None),
        ("kafka://one?user=u", None),
        ("kafka://one?user=u&tls=off", "u signs in by SCRAM-SHA-512, and nothing is encrypted"),
        ("kafka://127.0.0.1?user=u&tls=off&mechanism=PLAIN", "u signs in by PLAIN"),
        ("sqlite:///var/lib/banstream/log.db", None),
    ],
)
def test_a_connection_that_anybody_can_change_is_said_aloud(
    url: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts on such a log hears it; this machine's own loopback needs no TLS."""
    monkeypatch.setenv("BANSTREAM_KAFKA_PASSWORD", "s3cret")
    warning = url_warning(url)
    assert (warning is None) if said is None else (said in (warning or ""))
    assert "s3cret" not in (warning or "")


def test_every_mistake_is_told_at_once() -> None:
    """A url with several mistakes gets a problem for each."""
    with pytest.raises(ConfigError) as refused:
        check_url("kafka://one:0x1?prefix=%20&tls=maybe&nonsense=1")
    assert len(refused.value.problems) == 4
