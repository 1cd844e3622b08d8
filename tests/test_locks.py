"""The locks: all that is asked for, each with its hashes, and the way it is installed uses nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "deploy" / "locks"
NAMES = ("build", "dev", "run")
PINNED = re.compile(
    r"^(?P<pin>\S+==[^\s;]+)(?P<marker> ; [^\\]+)? \\\n(?P<hashes>(?:    --hash=.*\n)+)", re.MULTILINE
)
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def locked(name: str) -> dict[str, Requirement]:
    """What a lock pins, by name."""
    text = (LOCKS / f"{name}.lock").read_text(encoding="utf-8")
    found = [Requirement(each["pin"] + (each["marker"] or "")) for each in PINNED.finditer(text)]
    return {canonicalize_name(each.name): each for each in found}


def asked(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for, and with it some of its extras."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional: dict[str, list[str]] = project["optional-dependencies"]
    lines: Iterable[str] = (*project["dependencies"], *(line for each in extras for line in optional[each]))
    return [each for each in map(Requirement, lines) if each.name != "banstream"]


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_has_pins_with_hashes_and_nothing_else(name: str) -> None:
    """No range, no address of an index, no option: only versions, and SHA-256 of their files."""
    text = (LOCKS / f"{name}.lock").read_text(encoding="utf-8")
    rest = PINNED.sub("", text)
    assert all(line.lstrip().startswith("#") for line in rest.splitlines()), rest
    assert "://" not in text
    for each in PINNED.finditer(text):
        assert all(map(HASH.fullmatch, each["hashes"].splitlines())), each["pin"]


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("run", ("fast", "kafka", "nftables", "places")),
        ("dev", ("dev", "fast", "kafka", "nftables", "places")),
    ],
)
def test_a_lock_has_all_that_is_asked_for(name: str, extras: tuple[str, ...]) -> None:
    """After a change of pyproject.toml `make lock` has to be run."""
    pins = locked(name)
    for wanted in asked(*extras):
        pin = pins.get(canonicalize_name(wanted.name))
        assert pin is not None, f"{wanted.name} is not locked: make lock"
        (exact,) = pin.specifier
        assert wanted.specifier.contains(exact.version, prereleases=True), f"{wanted}: make lock"


def test_the_locks_agree() -> None:
    """What runs is what was tested: a package has one version in all of them, on more platforms in tests."""
    run, build, dev = locked("run"), locked("build"), locked("dev")
    assert {name: str(pin.specifier) for name, pin in run.items()}.items() <= {
        n: str(p.specifier) for n, p in dev.items()
    }.items()
    for name in build.keys() & dev.keys():
        assert build[name] == dev[name]
    assert {"pip", "hatchling", "editables"} <= build.keys()
    assert not {"pip", "setuptools", "pytest"} & run.keys()


def test_this_environment_is_the_locked_one() -> None:
    """What these tests run with has the locked versions; setuptools, which nothing needs, is not there."""
    for name, pin in {**locked("build"), **locked("dev")}.items():
        if pin.marker is None or pin.marker.evaluate():
            assert f"=={version(name)}" == str(pin.specifier), f"{name}: make install"
    with pytest.raises(PackageNotFoundError):
        version("setuptools")


@pytest.mark.parametrize("name", ["Dockerfile", "deploy/venv.sh"])
def test_nothing_is_installed_without_a_hash(name: str) -> None:
    """Each `pip install` names a lock and wants hashes, or installs the project itself without anything."""
    text = (ROOT / name).read_text(encoding="utf-8")
    installs = re.findall(r"(?:^\s+|pip )(?:--python \S+ )?(?:pip )?install (.*)", text, re.MULTILINE)
    installs = [each for each in installs if not each.startswith(("--yes", "--directory"))]
    assert len(installs) == 3
    for each in installs[:2]:
        assert "--require-hashes" in each
        assert re.search(r"--requirement deploy/locks/(build|dev|run)\.lock", each)
    assert "--no-deps" in installs[2]
    assert "--no-index" in installs[2] or "--no-build-isolation" in installs[2]
