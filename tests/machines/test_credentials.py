"""A shipper in its unit signs with a key that systemd hands over, or one of its user's; with no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines.machine import run

pytestmark = [pytest.mark.real("machine"), pytest.mark.timeout(600)]
CONFIG = """
[log]
url = "kafka://localhost:1?timeout=1s"
[ship]
host = "web1"
key_file = "KEY_FILE"
[jail.sshd]
source = "file:/var/log/auth.log"
"""
HANDED_OVER = "[Service]\nLoadCredential=host.key:/etc/banstream/host.key\n"
SCRIPT = """
systemd-sysusers; touch /var/log/auth.log; chgrp adm /var/log/auth.log; chmod 640 /var/log/auth.log
systemd-tmpfiles --create
banstream hosts key --key-file /etc/banstream/host.key
tried() {
  sed "s|KEY_FILE|$1|" /etc/banstream/pattern > /etc/banstream/banstream.toml
  since=$(date +%s)
  systemctl start --no-block banstream-ship
  for i in $(seq 300); do
    said=$(journalctl -u banstream-ship --since "@$since" --no-pager \\
      | grep -oE "Signing .*|others may read.*|cannot be read.*" | head -1)
    if [ -n "$said" ]; then break; fi
    sleep 0.1
  done
  echo "$2: $said"
  systemctl stop banstream-ship; systemctl reset-failed banstream-ship || true; sleep 1
}
tried /run/credentials/banstream-ship.service/host.key "handed over"
tried /etc/banstream/host.key "root's"
chown banstream: /etc/banstream/host.key
tried /etc/banstream/host.key "its own"
chmod 644 /etc/banstream/host.key
tried /etc/banstream/host.key "everybody's"
echo PROBE DONE
"""


def test_a_unit_signs_with_a_key_that_is_its_own(tmp_path: Path) -> None:
    """Handed over by systemd, or its user's with mode 0600; root's it cannot read, one for all it refuses."""
    said = run(
        tmp_path,
        SCRIPT,
        {
            "/etc/banstream/pattern": CONFIG,
            "/etc/systemd/system/banstream-ship.service.d/key.conf": HANDED_OVER,
        },
    ).splitlines()
    (made,) = [line.rpartition(" ")[2] for line in said if line.startswith("Made /etc/banstream/host.key")]
    outcomes = dict(line.split(": ", 1) for line in said if ": " in line)
    assert outcomes["handed over"] == outcomes["its own"] == f"Signing host=web1 key={made}"
    assert outcomes["root's"].startswith("cannot be read (Permission denied)")
    assert outcomes["everybody's"].startswith("others may read or write it (mode 0644)")
