"""Opening a firewall by name, and what is said when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enforcers.backends import open_backend
from enforcers.nftables import NftablesBackend
from enforcers.null import NullBackend
from schemas.errors import ConfigError
from tests.namespaces import fleet

ROOT = Path(__file__).resolve().parents[2]
OPEN = "backend, why = open_backend('nftables')\nprint(backend.name, '|', why)\n"
NOBODY = 65_534


def opened_by_child(prelude: str = "") -> str:
    """What a child process gets, after a prelude."""
    command = [sys.executable, "-c", "from enforcers.backends import open_backend\n" + prelude + OPEN]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()


@pytest.mark.real("nftables")
def test_root_gets_the_firewall() -> None:
    """And no reason to observe only."""
    with fleet("server") as net, net["server"].inside():
        backend, why = open_backend("nftables")
        assert isinstance(backend, NftablesBackend)
        assert why is None
        backend.close()


def test_an_ordinary_user_observes_only() -> None:
    """Without CAP_NET_ADMIN the null backend is opened, and the reason says what to do."""
    become = f"; os.setgroups([]); os.setuid({NOBODY})" if os.geteuid() == 0 else ""
    said = opened_by_child(f"import enforcers.nftables, os{become}\n")
    assert said.startswith("null | nftables needs root or CAP_NET_ADMIN; ")


@pytest.mark.real("nftables")
def test_without_the_module_or_the_library_it_observes_only() -> None:
    """Each with its own advice."""
    with fleet("server") as net, net["server"].inside():
        absent = opened_by_child("import sys; sys.modules['nftables'] = None\n")
        assert absent.startswith("null | the Python module nftables cannot be loaded: ")
        assert "pip install 'banstream[nftables]'" in absent
        missing = opened_by_child(
            "import ctypes\n"
            "def fail(name): raise OSError(f'{name}: cannot open shared object file')\n"
            "ctypes.cdll.LoadLibrary = fail\n"
        )
        assert missing.startswith("null | libnftables cannot be loaded: libnftables.so.1: cannot open")
        assert "apt install libnftables1" in missing


@pytest.mark.real("nftables")
def test_a_kernel_that_refuses_is_told() -> None:
    """Root without the right to make netlink sockets observes only, and says what to check."""
    with fleet("server") as net, net["server"].inside():
        said = opened_by_child(
            "import socket\n"
            "real = socket.socket\n"
            "def refuse(family=-1, *rest, **named):\n"
            "    if family == socket.AF_NETLINK: raise PermissionError('not here')\n"
            "    return real(family, *rest, **named)\n"
            "socket.socket = refuse\n"
        )
    assert said.startswith("null | cannot watch nftables for changes: not here; check that this kernel")


def test_observing_by_choice_is_said_too() -> None:
    """The null backend by name is no error, and no silence either."""
    backend, why = open_backend("null")
    assert isinstance(backend, NullBackend)
    assert why is not None
    assert "null backend is configured" in why


def test_an_unknown_backend_is_a_configuration_error() -> None:
    """With the key, the value and what was expected."""
    with pytest.raises(
        ConfigError, match=r"enforcer\.backend: 'iptables' is unknown; expected one of nftables, null"
    ):
        open_backend("iptables")


def test_a_backend_may_be_installed_beside_ours(tmp_path: Path) -> None:
    """By an entry point: known by its name, opened with the table's, it may say why it cannot be used."""
    info = tmp_path / "fort-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fort\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[banstream.backends]\nfort = fort:opened\nruin = fort:broken\n", encoding="utf-8"
    )
    (tmp_path / "fort.py").write_text(
        "from enforcers.null import NullBackend\n"
        "from schemas.errors import EnforcementFailed\n"
        "class Fort(NullBackend):\n    name = 'fort'\n"
        "def opened(table):\n    made = Fort()\n    made.table = table\n    return made\n"
        "def broken(table):\n    raise EnforcementFailed('fell down; build it anew')\n",
        encoding="utf-8",
    )
    told = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from enforcers.backends import names, open_backend\n"
        "print(names())\nbackend, why = open_backend('fort')\nprint(backend.name, backend.table, why)\n"
        "print(open_backend('ruin')[1])\n"
    )
    command = [sys.executable, "-c", told, str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()
    assert said[0] == "('fort', 'nftables', 'null', 'ruin')"
    assert said[1].startswith("fort banstream ")
    assert said[2] == "fell down; build it anew"
