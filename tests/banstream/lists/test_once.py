"""A replay over files, under rules that name lists."""

from __future__ import annotations

from pathlib import Path

from tests.banstream.service import Service


def test_a_replay_over_files_spares_whom_files_name(tmp_path: Path) -> None:
    """Host names and lists of a server it does not ask for; it says so."""
    made = Service(tmp_path)
    (tmp_path / "friends").write_text("203.0.113.9\nhome.example.org\n")
    made.configure(
        f'maxretry = 3\nignoreip = ["file:{tmp_path}/friends", "away.example.org", "file:{tmp_path}/none"]',
        more='[list.partners]\nfrom = "https://localhost:1/partners"',
    )
    made.fail("203.0.113.9", 3)
    made.fail("203.0.113.10", 3)
    done = made.run("replay", str(made.log), "--config", str(made.config))
    assert "203.0.113.10" in done.stdout
    assert "203.0.113.9 " not in done.stdout
    for name, why in (
        (f"file:{tmp_path}/friends", "who has one of its 1 host names counts here"),
        ("name:away.example.org", "asks no DNS and no server; whoever is in it counts here"),
        (f"file:{tmp_path}/none", "it is not there"),
        ("list:partners", "asks no DNS and no server; whoever is in it counts here"),
    ):
        assert any(f"list {name}: " in line and why in line for line in done.stderr.splitlines()), name
