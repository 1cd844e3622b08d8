"""Where a filter's lines are on this machine, when nobody says."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers import usual
from producers.usual import usual_sources


def own(folder: Path, name: str, *sources: str) -> str:
    """The path of a user's own filter that logs to some places."""
    path = folder / f"{name}.toml"
    path.write_text(f"sources = {list(sources)}\n[[failed]]\nline = 'x {{ip}}'\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("filters", [(), ("auto",), ("sshd",), ("nginx", "auto"), ("vsftpd", "sshd")])
def test_logins_are_where_this_machine_has_them(
    filters: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For no filter, for `auto` and for sshd: what the sources know."""
    monkeypatch.setattr(usual, "default_sources", lambda: ["file:/somewhere"])
    assert usual_sources(filters) == ("file:/somewhere",)


def test_a_filters_places_are_those_that_are_there(tmp_path: Path) -> None:
    """In the order of the filters, each once; what is absent or no source is left out."""
    for name in ("a.log", "b.log"):
        (tmp_path / name).touch()
    a, b, none = (f"file:{tmp_path}/{name}.log" for name in ("a", "b", "none"))
    filters = (own(tmp_path, "one", none, b, "nosuch:x", "file:relative"), own(tmp_path, "two", a, b))
    assert usual_sources(filters) == (b, a)
    assert usual_sources((own(tmp_path, "three", none),)) == ()


def test_a_filter_of_fail2bans_asks_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `journalmatch` is a place; one without has none, since fail2ban's jails name the files."""
    program = tmp_path / "journalctl"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    text = "[Definition]\nfailregex = ^x <HOST>$\n"
    (tmp_path / "x.conf").write_text(text, encoding="utf-8")
    (tmp_path / "y.conf").write_text(
        f"{text}journalmatch = _SYSTEMD_UNIT=y.service + _COMM=y\n", encoding="utf-8"
    )
    assert usual_sources((str(tmp_path / "x.conf"),)) == ()
    assert usual_sources((str(tmp_path / "y.conf"),)) == ("journald:_SYSTEMD_UNIT=y.service + _COMM=y",)
    program.unlink()
    assert usual_sources((str(tmp_path / "y.conf"),)) == ()
