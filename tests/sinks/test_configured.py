"""Sinks that are each right, and wrong beside what else the configuration says."""

from __future__ import annotations

import time
from pathlib import Path
from socket import create_server

import pytest

from banstream.config import load_settings
from banstream.sinking import Crew
from eventlog.sqlite import SqliteLog
from schemas.errors import ConfigError
from schemas.topics import DECISIONS
from tests.sinks.following import AT_MS, ban, put

JAIL = (
    '[jail.web1]\nfilter = "sshd"\nsource = "file:/x/log"\nactions = ["a", "b"]\n'
    '[jail.web2]\nfilter = "sshd"\nsource = "file:/x/log"\n'
)


def configured(folder: Path, text: str) -> str:
    """A configuration's file."""
    file = folder / "banstream.toml"
    file.write_text(f'[log]\nurl = "sqlite:{folder}/log.db"\n{text}', encoding="utf-8")
    return str(file)


def problem(folder: Path, text: str) -> str:
    """What is wrong."""
    with pytest.raises(ConfigError) as caught:
        load_settings(configured(folder, text))
    return str(caught.value)


@pytest.mark.parametrize("second", ["file:/x/a", "file:///x/a", "file:/x/../x/a", "file:/x//a"])
def test_two_sinks_do_not_write_one_file(tmp_path: Path, second: str) -> None:
    """Each would cut off, as torn, what the other is writing, and both would rotate it."""
    told = problem(tmp_path, f'[sink.a]\nto = "file:/x/a"\n[sink.b]\nto = "{second}"\n')
    assert "sink.b.to" in told
    assert "a file of its own: [sink.a] writes this one" in told
    more = f'[sink.a]\nto = "file:/x/a"\n[sink.b]\nto = "{second}"\nenabled = false\n'
    assert len(load_settings(configured(tmp_path, more)).sinks) == 1


def test_jails_that_name_a_sink_do_not_widen_what_it_asks_for(tmp_path: Path) -> None:
    """Of the jails that name it, those whose names fit; none is an error."""
    sink = '[sink.{0}]\nto = "file:/x/{0}"\nwhere = {{ jail = "{1}" }}\n'
    told = problem(tmp_path, JAIL + sink.format("a", "web2") + sink.format("b", "web*"))
    assert "sink.a.where" in told
    assert "web1" in told
    assert "sink.b" not in told


def test_what_is_renewed_before_it_began_begins_once(tmp_path: Path) -> None:
    """A reload may come first."""
    text = '[sink.a]\nto = "file:/x/a"\n[sink.b]\nto = "file:/x/b"\n'
    crew = Crew(load_settings(configured(tmp_path, text)), lambda: 1)
    crew.succeed(crew.prepared(load_settings(configured(tmp_path, '[sink.a]\nto = "file:/x/c"\n'))))
    assert crew.status() == ()


def test_a_sink_that_hangs_holds_up_no_reload(tmp_path: Path) -> None:
    """What comes after it begins when it has ended; nobody else waits, and nothing is sent side by side."""
    with create_server(("127.0.0.1", 0)) as silent:
        to = f'to = "webhook+http://127.0.0.1:{silent.getsockname()[1]}/'
        text = '[sink.{0}]\n{1}{2}"\non = ["ban"]\nstart = "beginning"\ntimeout = "2s"\n'
        log = SqliteLog.open(tmp_path / "log.db")
        put(log, DECISIONS, ban(0))
        log.close()
        crew = Crew(load_settings(configured(tmp_path, text.format("a", to, "old"))), lambda: AT_MS)
        crew.start()
        try:
            connection, _ = silent.accept()  # its request hangs from now on
            before = time.monotonic()
            new = crew.prepared(load_settings(configured(tmp_path, text.format("a", to, "new"))))
            crew.succeed(new)
            assert time.monotonic() - before < 1
            assert crew.status()[0].to.endswith("/new")
            silent.settimeout(0.5)
            with pytest.raises(TimeoutError):
                silent.accept()  # it waits for the one before
            silent.settimeout(20)
            connection.close()
            later, _ = silent.accept()
            with later:
                assert later.recv(100).startswith(b"POST /new ")
        finally:
            crew.close()
