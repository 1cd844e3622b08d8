"""The package: generic top-level names that are ours alone, typed, complete, and one version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from banstream.manual import page
from banstream.overview import VERSION
from schemas.records import RECORDS

ROOT = Path(__file__).parent.parent
PACKAGES = ("banstream", "enforcers", "eventlog", "producers", "schemas", "sinks", "streams")


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def folders_of_code() -> set[str]:
    """The top-level folders that are packages, but for the tests and the benchmarks."""
    return {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}


def test_the_wheel_has_every_package_and_no_other() -> None:
    """A folder that is added at the top is added to the wheel, to import-linter and here."""
    tool = project()["tool"]
    assert tool["hatch"]["build"]["targets"]["wheel"]["packages"] == sorted(folders_of_code())
    assert tool["importlinter"]["root_packages"] == sorted(folders_of_code())
    assert set(PACKAGES) == folders_of_code()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_top_level_package_is_banstreams_alone(package: str) -> None:
    """Nobody else's distribution brings a package of this name, and what is imported is ours."""
    owners = set(packages_distributions().get(package, []))
    assert owners <= {"banstream"}
    found = subprocess.run(
        [sys.executable, "-P", "-c", f"import {package}; print({package}.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert Path(found.stdout.strip()) == ROOT / package / "__init__.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_that_it_is_typed(package: str) -> None:
    """PEP 561: each has a py.typed."""
    assert (ROOT / package / "py.typed").is_file()


def test_every_folder_of_tests_is_a_package() -> None:
    """Else two test modules of one name would be one."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_console_script_is_there_and_has_the_version_of_the_metadata() -> None:
    """`banstream --version`, the metadata, pyproject.toml and the constant agree."""
    (script,) = distribution("banstream").entry_points.select(group="console_scripts")
    assert (script.name, script.value) == ("banstream", "banstream.__main__:main")
    program = Path(sys.executable).with_name("banstream")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"banstream {VERSION}\n"
    assert version("banstream") == project()["project"]["version"] == VERSION


def test_it_cannot_be_uploaded_by_mistake() -> None:
    """Package indexes refuse the classifier `Private :: Do Not Upload`."""
    assert "Private :: Do Not Upload" in project()["project"]["classifiers"]


def test_the_json_schemas_are_tracked() -> None:
    """They lie in a package's folder and Git does not ignore them, so that hatchling takes them along."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout")
    subprocess.run(["git", "ls-files", "--error-unmatch", *schemas()], cwd=ROOT, check=True)


@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed")
def test_the_wheel_holds_all_that_is_needed(tmp_path: Path) -> None:
    """Every module, each py.typed, every JSON Schema and the license; no tests, no benchmarks."""
    build = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert held >= modules | set(schemas()) | {f"{package}/py.typed" for package in PACKAGES}
    data = f"banstream-{VERSION}.data"
    assert {name.partition("/")[0] for name in held} == {*PACKAGES, f"banstream-{VERSION}.dist-info", data}
    shared = {name.removeprefix(f"{data}/data/share/") for name in held if name.startswith(data)}
    assert shared == {
        "bash-completion/completions/banstream",
        "fish/vendor_completions.d/banstream.fish",
        "man/man1/banstream.1",
        "zsh/site-functions/_banstream",
    }
    assert f"banstream-{VERSION}.dist-info/licenses/LICENSE" in held


def test_the_manual_page_says_what_help_says() -> None:
    """`make man` makes it anew."""
    assert (ROOT / "deploy/man/banstream.1").read_text(encoding="utf-8") == page()


def test_bash_completes() -> None:
    """With the file that the wheel puts where bash-completion looks: commands, and values of options."""
    script = (
        "source deploy/completion/banstream.bash; COMP_WORDS=(banstream {}); COMP_CWORD={}; "
        '_banstream_completion banstream; echo "${{COMPREPLY[@]}}"'
    )
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for words, at, wanted in (("stat", 1, "status"), ("match --filter nginx-forb", 3, "nginx-forbidden")):
        done = subprocess.run(
            ["bash", "-c", script.format(words, at)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [wanted]


def schemas() -> list[str]:
    """The published JSON Schemas, one for each record."""
    found = [str(path.relative_to(ROOT)) for path in (ROOT / "schemas").rglob("*.json")]
    assert len(found) == len(RECORDS)
    return found
