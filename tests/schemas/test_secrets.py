"""No password in a url is shown to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from banstream.config import load_settings
from eventlog.urls import check_url
from schemas.errors import ConfigError
from schemas.secrets import hidden

WRITTEN = [
    "kafka://ship:hunter2@localhost:9092",
    "kafka://hunter2@localhost:9092",
    "kafka://ship:hunter2@h1:9092,ship:hunter2@h2:9092",
    "kafka://ship:x/hunter2?y@localhost",
    "kafka://localhost:1?user=x&password=hunter2",
    "kafka://localhost:1?passwd=hunter2&user=x&user=y",
    "kafka:ship:hunter2@localhost",
    "sqlite://user:hunter2@x/y",
    "postgres://u:hunter2@h/db?sslpassword=hunter2",
]


@pytest.mark.parametrize("url", WRITTEN)
def test_a_password_is_in_no_error(url: str, tmp_path: Path) -> None:
    """Neither by itself nor in a configuration, whichever way it was put into a url."""
    assert "hunter2" not in hidden(url)
    with pytest.raises(ConfigError) as refused:
        check_url(url)
    assert "hunter2" not in "".join(refused.value.problems)
    file = tmp_path / "banstream.toml"
    file.write_text(f'[log]\nurl = "{url}"\n[jail.sshd]\nsource = "stdin"\nlogurl = "{url}"\n', "utf-8")
    with pytest.raises(ConfigError) as refused:
        load_settings(str(file), check="log")
    assert "hunter2" not in "".join(refused.value.problems)


@pytest.mark.parametrize(
    "url",
    [
        "kafka://localhost:9092?user=ship&password_file=/etc/pw&tls=on",
        "sqlite:///var/lib/banstream/log.db",
        "kafka://h1:9092,h2:9092",
    ],
)
def test_what_is_no_secret_is_shown(url: str) -> None:
    """Whoever has to mend a url needs the rest of it."""
    assert hidden(url) == url
