"""docker-compose.yml and the Dockerfile: valid, with least privilege, and what they start bans."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from contextlib import ExitStack
from importlib.metadata import distribution
from pathlib import Path
from shutil import copytree
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from banstream.config import load_settings
from banstream.overview import COMMANDS
from tests.banstream.fleet import failure, relay
from tests.banstream.service import Service, eventually
from tests.broker import Broker
from tests.deploy.containers import (
    COMPOSE,
    DOCKERFILE,
    ROOT,
    UID,
    Container,
    compose,
    instructions,
    roles,
    stack,
)
from tests.namespaces import fleet

ATTACKER = "203.0.113.9"
CONFIG = "./deploy/compose/banstream.toml"
SERVICES = sorted(roles())
NET_ADMIN = 1 << 12
"""In a set of capabilities, by capabilities(7)."""
LONG = ("decide", "enforce", "ship")
DOCKER_ONLY = ("LISTENERS", "VOTERS", "LOG_DIRS", "HEAP_OPTS", "LISTENER")
"""Variables of the broker that name addresses and directories inside its container."""


def test_it_is_valid_by_the_compose_specification() -> None:
    """By the specification's own schema."""
    carrier = distribution("check-jsonschema")
    path = carrier.locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    jsonschema.validate(compose(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**compose(), "services": {"broker": {"imagine": "x"}}}, schema)


@pytest.mark.parametrize("name", SERVICES)
def test_a_role_has_no_more_than_it_needs(name: str) -> None:
    """No capability but the enforcer's, nothing to write but what is its own, no root but the enforcer."""
    service = roles()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_ADMIN"] if name == "enforce" else [])
    assert service.get("user") == ("0:0" if name == "enforce" else None)
    assert service.get("network_mode") == ("host" if name == "enforce" else None)
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert all(volume.endswith(":ro") for volume in service["volumes"] if not volume.startswith("ship:"))
    assert service["command"][0] in COMMANDS


@pytest.mark.parametrize("name", [*SERVICES, "broker"])
def test_what_stays_is_restarted_and_looked_after(name: str) -> None:
    """A part that is to stay has a health check and is restarted; a job is, until it has succeeded."""
    service: dict[str, Any] = compose()["services"][name]
    stays = name in {*LONG, "broker"}
    assert service["restart"] == ("unless-stopped" if stays else "on-failure")
    assert ("healthcheck" in service) == stays
    needed = {each: how["condition"] for each, how in service.get("depends_on", {}).items()}
    order = {"broker": {}, "topics": {"broker": "service_healthy"}}
    order["rules"] = {"topics": "service_completed_successfully"}
    order["ship"] = {"enroll": "service_completed_successfully"}
    assert needed == order.get(name, {"rules": "service_completed_successfully"})


def test_the_broker_is_reached_from_this_machine_only() -> None:
    """It has no password, so its port is published on the loopback, and it has no capability either."""
    broker = compose()["services"]["broker"]
    assert broker["ports"] == ["127.0.0.1:9092:9092"]
    assert broker["cap_drop"] == ["ALL"]
    assert broker["image"].startswith("apache/kafka:")


def test_the_image_is_made_of_what_is_there(tmp_path: Path) -> None:
    """What the Dockerfile copies exists, passes .dockerignore, and is enough to build from; not as root."""
    assert [word for word, _ in instructions()].count("FROM") == 2
    copied = [rest.split() for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = [source for *sources, _ in copied for source in sources]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(sources) == allowed
    for source in sources:
        path = ROOT / source
        copytree(path, tmp_path / source) if path.is_dir() else (tmp_path / source).write_bytes(
            path.read_bytes()
        )
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as made:
        names = made.namelist()
        (scripts,) = (made.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    code = {name.partition("/")[0] for name in names}
    assert {name for name in code if not name.endswith((".data", ".dist-info"))} == set(packages)
    (entrypoint,) = (rest for word, rest in instructions() if word == "ENTRYPOINT")
    (program,) = YAML(typ="safe").load(entrypoint)
    assert f"{program} = banstream.__main__:main" in scripts
    assert [rest for word, rest in instructions() if word == "USER"] == ["banstream"]
    text = DOCKERFILE.read_text()
    assert f"--uid {UID} " in text
    assert f"uid={UID},gid={UID}" in COMPOSE.read_text()


def test_its_configuration_is_one(tmp_path: Path) -> None:
    """It reads, and names the broker as the services do."""
    settings = load_settings(str(ROOT / CONFIG), check="names")
    assert settings.log_url == "kafka://broker:9092"
    assert settings.ship.host
    assert settings.rules().require_enrolled, "what it starts is what a fleet is"
    del tmp_path


def broker_settings() -> dict[str, str]:
    """The broker's settings as the image makes them of its variables, but for what is about its container."""
    variables = compose()["services"]["broker"]["environment"]
    return {
        name.removeprefix("KAFKA_").replace("_", ".").lower(): value
        for name, value in variables.items()
        if name.startswith("KAFKA_") and not any(part in name for part in DOCKER_ONLY)
    }


@pytest.mark.real("kafka", "nftables")
def test_what_it_starts_bans_an_attacker(tmp_path: Path) -> None:
    """The services' own commands, users, mounts and settings: packets of who fails five times are dropped.

    The configuration is a user's, as in a clone of his, and believed for being mounted read-only.
    """
    settings = broker_settings()
    assert settings["transaction.state.log.min.isr"] == "1"
    broker = Broker(tmp_path / "broker", settings=settings)
    logs, state = tmp_path / "logs", tmp_path / "state"
    logs.mkdir()
    state.mkdir(mode=0o700)
    os.chown(state, UID, UID)
    log = logs / "auth.log"
    log.touch(mode=0o640)
    os.chown(log, 0, 4)
    theirs = tmp_path / "banstream.toml"
    theirs.write_bytes((ROOT / CONFIG).read_bytes())
    theirs.chmod(0o664)
    os.chown(theirs, 1_000, 1_000)
    mounts = {CONFIG: theirs, "LOGS": logs, "ship": state}
    port = broker.ports["INTERNAL"]
    with ExitStack() as opened:
        opened.callback(broker.kill)
        broker.start()
        net = opened.enter_context(fleet("host", "attacker"))
        host, attacker = net["host"], net["attacker"]
        attacker.add(ATTACKER)
        opened.enter_context(relay(port, host))
        opened.enter_context(relay(port, host, at=9092))
        made = [Container(each, tmp_path / each, host, mounts, {"broker": "127.0.0.1"}) for each in SERVICES]
        started = opened.enter_context(stack(made))
        started["topics"].run()
        started["rules"].run()
        started["enroll"].run()
        key = state / "host.key"
        assert (key.stat().st_mode & 0o777, key.stat().st_uid) == (0o600, UID)
        started["enroll"].run()
        assert started["enroll"].said.count("this-host is enrolled already, with the key ") == 1
        for name in LONG:
            started[name].start()
        for name in LONG:
            eventually(started[name].healthy, f"{name} is healthy: {started[name].said}")
        eventually(lambda: "Enforcing host=" in started["enforce"].said, f"{started['enforce'].said}")
        assert [started[name].power() for name in LONG] == [(UID, 0), (0, NET_ADMIN), (UID, 0)]
        assert attacker.reaches(host.ip4, 22, source=ATTACKER)
        with log.open("a", encoding="utf-8") as file:
            file.writelines(failure(ATTACKER, number) for number in range(5))
        eventually(lambda: Service(tmp_path, host).elements() == {ATTACKER}, _all_said(started))
        assert not attacker.reaches(host.ip4, 22, source=ATTACKER)
        for name in LONG:
            assert started[name].stop() == 0, started[name].said


def _all_said(started: dict[str, Container]) -> str:
    return "\n".join(f"{name}: {each.said}" for name, each in started.items())
