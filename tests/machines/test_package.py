"""The Debian package on a booted machine: installed, attacked, rebooted, upgraded, removed, purged."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.machines.machine import ROOT, SUITES, boot, disk

NEXT: Final = "0.1.0-2~test"
MOST_BYTES: Final = 60 << 20
MOST_S: Final = 60
"""Twice what is promised of a machine at rest: to protection; to a first ban it is that again."""
AT: Final = re.compile(r"(?:first|protected|banned) [\d.]+$")
BUILD: Final = """
cd /src
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
python3 -m venv /builder
/builder/bin/pip --quiet install --require-hashes --requirement deploy/locks/build.lock
deploy/deb/build.sh /builder/bin/python
"""
UP: Final = """
up() { timeout 60 sh -c 'until banstream status --health up >/dev/null; do sleep 0.1; done'; }
"""
INSTALL: Final = (
    UP
    + """
echo "first $(cut -d' ' -f1 /proc/uptime)"
# As in a terminal that somebody has logged in to.
SSH_CONNECTION="203.0.113.9 50000 192.0.2.1 22" dpkg --install /package.deb
up
echo "protected $(cut -d' ' -f1 /proc/uptime)"
systemctl is-enabled banstream
cat /etc/banstream/banstream.toml
banstream config check
stat -c '%a %U %G %n' /etc/banstream /etc/banstream/banstream.toml /var/lib/banstream
banstream attack --keep
echo "banned $(cut -d' ' -f1 /proc/uptime)"
nft list table inet banstream | grep -cE '198\\.1[89]\\.'
test -e /usr/share/man/man1/banstream.1.gz
test "$(banstream --version)" = "banstream 0.1.0"
systemctl is-enabled banstream-decide && exit 1
echo PROBE DONE
"""
)
REBOOTED: Final = (
    UP
    + """
up
nft list table inet banstream | grep -cE '198\\.1[89]\\.'
banstream attack
echo "# mine" >> /etc/banstream/banstream.toml
before=$(systemctl show -P MainPID banstream)
dpkg --install /next.deb
test "$(dpkg-query -W -f '${Version}' banstream)" = "0.1.0-2~test"
up
test "$before" != "$(systemctl show -P MainPID banstream)"
grep "# mine" /etc/banstream/banstream.toml
nft list table inet banstream | grep -cE '198\\.1[89]\\.'
systemctl disable --now banstream
dpkg --install /next.deb
systemctl is-active banstream && exit 1
systemctl is-enabled banstream && exit 1
systemctl enable --now banstream
up
dpkg --remove banstream
nft list tables | grep banstream && exit 1
systemctl is-active banstream && exit 1
test -e /var/lib/banstream/log.db
grep "# mine" /etc/banstream/banstream.toml
dpkg --install /next.deb
up
nft list table inet banstream | grep -cE '198\\.1[89]\\.'
dpkg --purge banstream
wants=/etc/systemd/system/multi-user.target.wants/banstream.service
for path in /etc/banstream /var/lib/banstream /opt/banstream /usr/bin/banstream /run/banstream $wants; do
  if [ -e $path ]; then echo "left: $path"; exit 1; fi
done
nft list tables | grep banstream && exit 1
echo PROBE DONE
"""
)


def built(folder: Path, suite: str) -> Path:
    """The package of this checkout, built on that Debian from wheels that were fetched before."""
    wheels = folder / "wheels"
    version = next(".".join(map(str, version)) for version, name in SUITES.items() if name == suite)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    for lock in ("build", "run"):
        options = ["--python-version", version, "--only-binary", ":all:", "--dest", str(wheels)]
        command = [*pip, *options, "--requirement", str(ROOT / f"deploy/locks/{lock}.lock")]
        subprocess.run(command, check=True)
    with disk(folder, suite) as root:
        source = root / "src"
        ignored = shutil.ignore_patterns(".*", "dist", "tests", "bench", "__pycache__")
        shutil.copytree(ROOT, source, ignore=ignored)
        shutil.copytree(wheels, root / "wheels")
        subprocess.run(["chroot", str(root), "sh", "-c", BUILD], check=True)
        (made,) = (source / "dist").glob("*.deb")
        return Path(shutil.copy2(made, folder))


def upgraded(package: Path, folder: Path) -> Path:
    """The same under a later version."""
    tree, made = folder / "tree", folder / "next.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    lines = control.read_text(encoding="utf-8").splitlines()
    told = [f"Version: {NEXT}" if line.startswith("Version:") else line for line in lines]
    control.write_text("\n".join(told) + "\n", encoding="utf-8")
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.mark.real("machine")
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("suite", SUITES.values())
def test_it_protects_from_its_installation_on_and_leaves_nothing(suite: str, tmp_path: Path) -> None:
    """Bans hold over a reboot and an upgrade; what was turned off stays off; a purge leaves nothing."""
    for name in ("build", "one", "two"):
        (tmp_path / name).mkdir()
    package = built(tmp_path / "build", suite)
    assert package.stat().st_size < MOST_BYTES
    with disk(tmp_path, suite) as root:
        said = boot(root, tmp_path / "one", INSTALL, given={package: "/package.deb"})
        assert 'never_ban = ["203.0.113.9"]' in said
        assert "[jail.sshd]" in said
        assert "750 root banstream /etc/banstream\n" in said
        assert "640 root banstream /etc/banstream/banstream.toml\n" in said
        assert "700 banstream banstream /var/lib/banstream\n" in said
        first, protected, banned = (float(line.split()[1]) for line in said.splitlines() if AT.match(line))
        assert protected - first < MOST_S
        assert banned - first < 2 * MOST_S
        boot(root, tmp_path / "two", REBOOTED, given={upgraded(package, tmp_path): "/next.deb"})
