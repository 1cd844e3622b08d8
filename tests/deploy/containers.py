"""Services of docker-compose.yml started without Docker, as nearly as a kernel allows without it.

A service is one process with a root of its own: this machine's, with an overlay in memory above it, on which
the service's volumes and tmpfs are mounted, and which is read-only then if the service asks for that. It has
the service's user, groups, capabilities and environment, and the network namespace it is given. Its program
is the `banstream` of the environment that runs the tests, where the image has /opt/banstream.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from tests.namespaces import Host

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final = ROOT / "docker-compose.yml"
DOCKERFILE: Final = ROOT / "Dockerfile"
BIN: Final = Path(sys.executable).parent
IMAGE_BIN: Final = "/opt/banstream/bin"
UID: Final = 10_001
PASSWD: Final = f"banstream:x:{UID}:{UID}::/var/lib/banstream:/usr/sbin/nologin"


def compose() -> dict[str, Any]:
    """docker-compose.yml, its anchors and merges resolved."""
    loaded: dict[str, Any] = YAML(typ="safe").load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def roles() -> dict[str, dict[str, Any]]:
    """The services of our own image."""
    services: dict[str, dict[str, Any]] = compose()["services"]
    return {name: service for name, service in services.items() if service["image"] == "banstream"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, continued lines joined, without comments."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """What a service's process has: the image's variables, then its own."""
    pairs = [pair for word, rest in instructions() if word == "ENV" for pair in shlex.split(rest)]
    image = dict(pair.split("=", 1) for pair in pairs)
    path = image["PATH"].replace(IMAGE_BIN, str(BIN)).replace("$PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    return {**image, "PATH": path, "TZ": "UTC", **service.get("environment", {})}


@dataclass
class Container:
    """One service on one host.

    Attributes:
        mounts: what stands in for the sources of its volumes.
        hosts: names and addresses, besides the service's own extra_hosts.
    """

    name: str
    folder: Path
    host: Host
    mounts: Mapping[str, Path]
    hosts: Mapping[str, str]
    process: subprocess.Popen[str] | None = None

    @property
    def service(self) -> dict[str, Any]:
        """Its part of docker-compose.yml."""
        return roles()[self.name]

    @property
    def said(self) -> str:
        """What it has said so far."""
        return (self.folder / f"{self.name}.out").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it."""
        self.folder.mkdir(exist_ok=True)
        script = "\n".join([*self._mounts(), f"exec chroot $W/root {shlex.join(self._command())}"])
        with (self.folder / f"{self.name}.out").open("a", encoding="utf-8") as out, self.host.inside():
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-euc", script], stdout=out, stderr=out, text=True
            )

    def run(self) -> None:
        """Start it and wait for its end, which has to be a good one."""
        self.start()
        assert self.process is not None
        assert self.process.wait(60) == 0, self.said

    def healthy(self) -> bool:
        """What the service's own health check says, run inside."""
        assert self.process is not None
        word, *test = self.service["healthcheck"]["test"]
        assert word == "CMD"
        command = [*self._privileges(), *self._environment(), *test]
        inside = ["nsenter", f"--target={self.process.pid}", "--mount", "--root", "--wd=/"]
        done = subprocess.run([*inside, *command], capture_output=True, check=False)
        return done.returncode == 0

    def power(self) -> tuple[int, int]:
        """The user it runs as, and its capabilities in effect (proc_pid_status(5))."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        facts = dict(line.split(":", 1) for line in status.splitlines())
        return int(facts["Uid"].split()[1]), int(facts["CapEff"], 16)

    def stop(self) -> int:
        """End it as Docker does; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    def _command(self) -> Sequence[str]:
        entrypoint = next(rest for word, rest in instructions() if word == "ENTRYPOINT")
        program = YAML(typ="safe").load(entrypoint)
        return [*self._privileges(), *self._environment(), *program, *self.service["command"]]

    def _privileges(self) -> list[str]:
        service = self.service
        user, group = (int(each) for each in service.get("user", f"{UID}:{UID}").split(":"))
        bounding = ",".join(["-all", *(f"+{name.lower()}" for name in service.get("cap_add", []))])
        groups = ",".join([str(group), *service.get("group_add", [])])
        identity = [f"--reuid={user}", f"--regid={group}", f"--groups={groups}"]
        return ["setpriv", *identity, f"--bounding-set={bounding}", "--inh-caps=-all", "--no-new-privs"]

    def _environment(self) -> list[str]:
        return ["env", "-i", *(f"{name}={value}" for name, value in environment(self.service).items())]

    def _mounts(self) -> Iterator[str]:
        """The commands of a shell that lay out its root at $W/root."""
        work = self.folder / f"{self.name}.root"
        work.mkdir(exist_ok=True)
        yield f"W={work}; mount -t tmpfs tmpfs $W; mkdir $W/up $W/work $W/root"
        yield "mount -t overlay overlay -o lowerdir=/,upperdir=$W/up,workdir=$W/work $W/root"
        for each in ("proc", "sys", "dev"):
            yield f"mount --rbind /{each} $W/root/{each}"
        for tmpfs in self.service["tmpfs"]:
            target, _, options = tmpfs.partition(":")
            yield f"mkdir -p $W/root{target}; mount -t tmpfs -o {options} tmpfs $W/root{target}"
        for place in (ROOT, BIN.parent, Path(sys.base_prefix)):  # whoever may not go there on this machine
            parents = " ".join(f"$W/root{parent}" for parent in (place, *place.parents))
            yield f"mkdir -p $W/root{place}; chmod o+rx {parents}; mount --bind {place} $W/root{place}"
        names = {"localhost": "127.0.0.1", **self.hosts}
        names |= dict(each.split(":", 1) for each in self.service.get("extra_hosts", []))
        lines = "\\n".join(f"{address} {name}" for name, address in names.items())
        yield f"printf '{lines}\\n' > $W/root/etc/hosts; echo '{PASSWD}' >> $W/root/etc/passwd"
        for volume in self.service.get("volumes", []):
            source, target, *options = re.sub(r"\$\{[^}]*\}", "LOGS", volume).split(":")
            kind = "touch" if self.mounts[source].is_file() else "mkdir -p"
            yield f"mkdir -p $(dirname $W/root{target}); {kind} $W/root{target}"
            yield f"mount --bind {self.mounts[source]} $W/root{target}"
            if "ro" in options:
                yield f"mount -o remount,ro,bind $W/root{target}"
        if self.service["read_only"]:
            yield "mount -o remount,ro,bind $W/root"


@contextmanager
def stack(containers: Sequence[Container]) -> Iterator[dict[str, Container]]:
    """Containers by name, none of them running yet; killed at the end."""
    try:
        yield {each.name: each for each in containers}
    finally:
        for each in containers:
            if each.process is not None:
                each.process.kill()
                each.process.wait()
