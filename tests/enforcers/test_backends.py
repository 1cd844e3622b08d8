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
    drop = f"import os; os.setgroups([]); os.setuid({NOBODY})\n" if os.geteuid() == 0 else ""
    said = opened_by_child(drop)
    assert said.startswith("null | nftables needs root or CAP_NET_ADMIN; ")


@pytest.mark.real("nftables")
def test_without_the_module_or_the_library_it_observes_only() -> None:
    """Each with its own advice."""
    with fleet("server") as net, net["server"].inside():
        absent = opened_by_child("import sys; sys.modules['nftables'] = None\n")
        assert absent.startswith("null | the Python module nftables cannot be loaded: ")
        assert 'pip install "banstream[nftables]"' in absent
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
