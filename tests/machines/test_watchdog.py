"""A real systemd hears that `banstream up` is ready, and restarts it when it hangs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines.machine import run

pytestmark = [pytest.mark.real("machine"), pytest.mark.timeout(600)]
CONFIG = """
[jail.sshd]
source = "file:/var/log/auth.log"
"""
SOONER = "[Service]\nWatchdogSec=5\nRestartSec=100ms\n"
SCRIPT = """
systemd-sysusers; touch /var/log/auth.log; chgrp adm /var/log/auth.log; chmod 640 /var/log/auth.log
systemd-tmpfiles --create
systemctl start banstream       # Type=notify: returns when it has said that it is ready
of() { systemctl show --property=$1 --value banstream; }
first=$(of MainPID)
echo "active $(systemctl is-active banstream) status $(of StatusText)"
sleep 7
echo "same $([ "$first" = "$(of MainPID)" ] && echo yes)"
nft list table inet banstream > /dev/null && echo "table yes"
grep CapEff /proc/$first/status
kill -STOP $first
for i in $(seq 300); do
  next=$(of MainPID)
  if [ "$next" != "$first" ] && [ "$next" != 0 ] && systemctl -q is-active banstream; then break; fi
  sleep 0.1
done
echo "restarted $([ "$next" != "$first" ] && of NRestarts)"
journalctl -u banstream --no-pager | grep -o "Watchdog timeout" | head -1
systemctl reload banstream; sleep 1
journalctl -u banstream --no-pager | grep -o "Configuration reloaded" | head -1
systemctl stop banstream
echo "stopped $(of Result)"
echo PROBE DONE
"""


def test_a_role_that_hangs_is_ended_and_started_again(tmp_path: Path) -> None:
    """The unit as it is shipped, but for its patience: ready, steady, hung, restarted, reloaded, stopped."""
    said = run(
        tmp_path,
        SCRIPT,
        {
            "/etc/banstream/banstream.toml": CONFIG,
            "/etc/systemd/system/banstream.service.d/sooner.conf": SOONER,
        },
    ).splitlines()
    assert "active active status running" in said
    assert "same yes" in said
    assert "table yes" in said
    assert any(line.endswith("0000000000001000") for line in said if line.startswith("CapEff"))
    assert "restarted 1" in said
    assert "Watchdog timeout" in said
    assert "Configuration reloaded" in said
    assert "stopped success" in said
