"""What a role says, as a real journal has it: over stderr, syslog's socket, and with fields for facts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.machines.machine import run

pytestmark = [pytest.mark.real("machine"), pytest.mark.timeout(600)]
CONFIG = """
[jail.sshd]
source = "file:/var/log/auth.log"
"""
SCRIPT = """
systemd-sysusers; touch /var/log/auth.log; chgrp adm /var/log/auth.log; chmod 640 /var/log/auth.log
systemd-tmpfiles --create
for target in stderr syslog journal; do
  mkdir -p /run/systemd/system/banstream.service.d
  printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/banstream up --log-to %s\\n' $target \
    > /run/systemd/system/banstream.service.d/target.conf
  systemctl daemon-reload
  systemctl restart banstream
  banstream ban 192.0.2.7 --for 1h --why $target > /dev/null
  banstream unban 192.0.2.7 > /dev/null
  systemctl stop banstream
  journalctl --sync
done
journalctl -u banstream -p notice..notice -o json --no-pager
systemctl start banstream
banstream ban 192.0.2.9 > /dev/null
echo "reload: $(banstream reload)"
echo "flush: $(banstream flush)"
nft list table inet banstream > /dev/null 2>&1 || echo "table gone"
echo "stop: $(banstream stop 2>&1)"
systemctl is-active banstream
echo PROBE DONE
"""


def test_bans_are_notices_in_the_journal_whatever_the_way(tmp_path: Path) -> None:
    """fail2ban's words with their priority; by the journal's own protocol each fact is a field, too."""
    said = run(tmp_path, SCRIPT, {"/etc/banstream/banstream.toml": CONFIG})
    entries = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    bans = [entry for entry in entries if "NOTICE [manual] Ban 192.0.2.7" in entry["MESSAGE"]]
    assert [entry["_TRANSPORT"] for entry in bans] == ["stdout", "syslog", "journal"]
    assert {entry["PRIORITY"] for entry in bans} == {"5"}
    assert bans[1]["SYSLOG_IDENTIFIER"] == bans[2]["SYSLOG_IDENTIFIER"] == "banstream"
    fields = {name.removeprefix("BANSTREAM_"): value for name, value in bans[2].items()}
    assert (fields["JAIL"], fields["VERB"], fields["PREFIX"], fields["WHY"]) == (
        *("manual", "Ban", "192.0.2.7"),
        "journal",
    )
    assert fields["DECISION"].startswith("0-c")


def test_a_unit_is_reloaded_flushed_and_left_to_systemd(tmp_path: Path) -> None:
    """Root's commands reach another user's process; what systemd would start again they do not stop."""
    said = run(tmp_path, SCRIPT, {"/etc/banstream/banstream.toml": CONFIG}).splitlines()
    assert "reload: up: read again; nothing has changed" in said
    assert any(line.startswith("flush: flushed: 1 ban is out of") for line in said)
    assert "table gone" in said
    assert any("systemctl stop banstream.service" in line for line in said)
    assert "active" in said
