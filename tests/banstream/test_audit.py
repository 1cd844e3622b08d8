"""Whoever changes the trail is found: single rows of the file, through restarts, and a trail written anew."""

from __future__ import annotations

import base64
import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from banstream.audit import AuditResult, checkpoint_of, verify
from eventlog.contract import Append
from eventlog.urls import open_log
from schemas.codec import encode
from schemas.records import Command
from schemas.topics import COMMANDS, DECISIONS, EVENTS, RULES
from streams.chain import SEALED
from streams.embedded import EmbeddedDecider
from tests.banstream.service import Service, eventually, say
from tests.banstream.test_timeline import Page
from tests.streams.folding import SECOND, T0, failure, rules

AUDITED = (DECISIONS.name, COMMANDS.name, RULES.name)
CHANGES = 1_000


def history(path: Path, rounds: int = 110, first: int = 0) -> None:
    """Bans, their ends and operators' words, with a restart every so often."""
    now = [T0 + first * 100 * SECOND]
    with closing(open_log(f"sqlite://{path}")) as log:
        decider = EmbeddedDecider(log, now_ms=lambda: now[0])
        decider.govern(rules(maxretry=2, bantime_ms=30 * SECOND))
        for nth in range(first, first + rounds):
            ip = f"203.0.113.{nth % 200 + 1}"
            events = [failure(ip, now[0], 2 * nth + each) for each in range(2)]
            log.append([Append(EVENTS.name, encode(each)) for each in events])
            if nth % 4 == 0:
                said = Command(id=f"c{nth}", verb="ban", at_ms=now[0], who="ann", prefix=f"198.51.100.{nth}")
                log.append([Append(COMMANDS.name, encode(said))])
            decider.catch_up()
            now[0] += 40 * SECOND
            decider.tick()
            if nth % 30 == 29:
                decider.checkpoint()
                decider = EmbeddedDecider(log, now_ms=lambda: now[0])


def looked_at(path: Path, checkpoint: dict[str, Any] | None = None) -> AuditResult:
    """What an audit of a file finds."""
    with closing(open_log(f"sqlite://{path}", read_only=True)) as log:
        return verify(log, T0, checkpoint)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log as it was written."""
    path = tmp_path_factory.mktemp("audit") / "log.db"
    history(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = DELETE")
    return path


def test_what_nobody_changed_is_as_it_was_written(whole: Path) -> None:
    """Through restarts; each message is vouched for, and seals are among them."""
    checked = looked_at(whole)
    assert not checked.findings
    with closing(open_log(f"sqlite://{whole}", read_only=True)) as log:
        kept = [each for topic in AUDITED[:2] for each in log.read(topic, 0, 0, limit=10_000)]
    assert checked.vouched == len(kept)
    assert not checked.unvouched
    assert sum(each.value.startswith(SEALED) for each in kept) > 5


def change(file: sqlite3.Connection, chance: random.Random) -> tuple[str, int, str]:
    """Change one row at random; its topic, the offset by which that is to be named, and how."""
    rows = file.execute(
        "SELECT id, topic, key, value, at_ms FROM messages JOIN streams ON stream = id >> 48"
    ).fetchall()
    rows = [row for row in rows if row[1] in AUDITED]
    identity, topic, key, value, at_ms = chance.choice(rows)
    offset = identity & (1 << 48) - 1
    how = chance.choice(["byte", "byte", "cut", "gone", "key", "again", "swap"])
    if topic == RULES.name and how in {"gone", "again", "swap"}:
        how = "byte"
    others = [row for row in rows if row[1] == topic and row[0] != identity and row[3] != value]
    match how:
        case "byte":
            at = chance.randrange(len(value))
            value = value[:at] + bytes([value[at] ^ 1 << chance.randrange(7)]) + value[at + 1 :]
            file.execute("UPDATE messages SET value = ? WHERE id = ?", (value, identity))
        case "cut":
            cut = value[: chance.randrange(len(value))] if topic != RULES.name else b"{}"
            file.execute("UPDATE messages SET value = ? WHERE id = ?", (cut, identity))
        case "gone":
            file.execute("DELETE FROM messages WHERE id = ?", (identity,))
        case "key":
            file.execute("UPDATE messages SET key = ? WHERE id = ?", (f"{key}x", identity))
        case "again":
            last = max(row[0] for row in rows if row[1] == topic)
            file.execute(
                "INSERT INTO messages (id, at_ms, peak_ms, key, value) VALUES (?, ?, ?, ?, ?)",
                (last + 1, at_ms, at_ms, key, value),
            )
            file.execute("UPDATE streams SET next_offset = next_offset + 1 WHERE topic = ?", (topic,))
            offset = last + 1 & (1 << 48) - 1
        case "swap":
            other = chance.choice(others)
            file.execute(
                "UPDATE messages SET value = ?, key = ? WHERE id = ?", (other[3], other[2], identity)
            )
            file.execute("UPDATE messages SET value = ?, key = ? WHERE id = ?", (value, key, other[0]))
    return topic, offset, how


def test_a_thousand_single_changes_are_found_and_named(whole: Path, tmp_path: Path) -> None:
    """A row changed, cut, removed, written again, or exchanged: in its topic, where it stands."""
    copy, chance = tmp_path / "log.db", random.Random(17)
    for nth in range(CHANGES):
        shutil.copyfile(whole, copy)
        with closing(sqlite3.connect(copy)) as file:
            topic, offset, how = change(file, chance)
            file.commit()
        found = looked_at(copy).findings
        unobeyed = how == "again" and topic == COMMANDS.name
        if unobeyed:  # nobody has obeyed it yet: it is as if an operator had said it now
            continue
        places = {(each.topic, each.offset) for each in found}
        near = {(topic, offset), (topic, offset - 1), (topic, None)} if how == "gone" else {(topic, offset)}
        assert places & near, (nth, how, topic, offset, found[:3])
        assert len(found) <= 4, (nth, how, topic, offset, found)


def test_a_trail_that_was_written_anew_is_found_by_a_checkpoint(whole: Path, tmp_path: Path) -> None:
    """Who could write the log wrote the chains, too; a log that only went on is as the checkpoint says."""
    copy, anew = tmp_path / "log.db", tmp_path / "anew.db"
    shutil.copyfile(whole, copy)
    with closing(open_log(f"sqlite://{copy}", read_only=True)) as log:
        kept = checkpoint_of(log, "x", T0)
    history(copy, 40, first=110)
    checked = looked_at(copy, kept)
    assert not checked.findings
    history(anew, 109)
    history(anew, 40, first=110)
    assert not looked_at(anew).findings
    assert {each.kind for each in looked_at(anew, kept).findings} == {"checkpoint"}


@pytest.mark.real("nftables")
def test_an_audit_of_what_runs(up: Service) -> None:
    """As a command, through kills; a checkpoint is signed, and one of another key or log is refused."""
    up.configure("maxretry = 3")
    up.start()
    up.fail("203.0.113.9", 3)
    eventually(lambda: up.elements() == {"203.0.113.9"}, "banned")
    key = up.folder / "audit.key"
    key.write_text(base64.b64encode(bytes(range(32))).decode(), encoding="ascii")
    key.chmod(0o600)
    kept = up.folder / "kept.json"
    kept.write_text(say(up, "audit", "checkpoint", "--key", str(key)), encoding="utf-8")
    public = json.loads(kept.read_text())["public_key"]
    up.run("unban", "203.0.113.9", "--config", str(up.config))
    command = ("audit", "verify", "--against", str(kept))
    assert "as it was written; it goes on from the checkpoint of" in say(up, *command, "--public-key", public)
    sections = {each.get("title"): each for each in up.json("audit", "report", "--since", "1h")}
    (row,) = sections["What operators did"]["rows"]
    assert (row["what"], row["decisions"]) == ("unban 203.0.113.9", 1)
    assert {
        (each["jail"], each["decision"], each["count"])
        for each in sections["Bans, by jail and reason"]["rows"]
    } == {
        ("sshd", "ban", 1),
        ("sshd", "unban", 1),
    }
    assert "PCI DSS 10.2.1.2" in sections["What operators did"]["answers"]
    assert sections["Rules"]["rows"][0]["changes"] == "the first that are known"
    page = up.folder / "report.html"
    say(up, "audit", "report", "--html", str(page))
    shown = Page(page.read_text(encoding="utf-8"))
    assert not shown.loads
    assert any("10.2.1.3" in each for each in shown.text)
    assert up.stop() == 0
    with closing(sqlite3.connect(up.folder / "state/log.db")) as file:
        (identity, value), *_ = file.execute(
            "SELECT id, value FROM messages WHERE instr(value, ?) AND instr(value, ?)",
            (b'"type":"ban"', b'"lines"'),
        ).fetchall()
        changed = value.replace(b"203.0.113.9", b"203.0.113.8")
        file.execute("UPDATE messages SET value = ? WHERE id = ?", (changed, identity))
        file.commit()
    found = up.json(*command, code=1)
    assert {each["finding"] for each in found[:-1]} == {"changed", "checkpoint"}
    assert found[-1]["findings"] == len(found) - 1
    kept.write_text(kept.read_text().replace('"count":', '"count": '), encoding="utf-8")
    say(up, *command, "--public-key", public, code=1)
    kept.write_text(kept.read_text().replace('"at_ms":', '"at_ms":1'), encoding="utf-8")
    ran = up.run(*command, "--public-key", public, "--config", str(up.config), code=2)
    assert "it is not signed with the key" in ran.stderr
