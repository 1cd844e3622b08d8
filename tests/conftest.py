"""Real parts: a test says which it needs; without it the test is skipped loudly, and in CI it fails."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from eventlog.kafka.quiet import quiet_libraries

if TYPE_CHECKING:
    from tests.broker import Cluster


def _root_with(*programs: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if os.geteuid() != 0:
            return "needs root"
        absent = [program for program in programs if shutil.which(program) is None]
        return f"needs {', '.join(absent)}" if absent else None

    return missing


def _kafka() -> str | None:
    if find_spec("kafka") is None:
        return "needs the extra kafka"
    from tests.broker import missing  # noqa: PLC0415 - tests of other parts do without the extra

    return missing()


def _fail2ban() -> str | None:
    package = Path("/usr/lib/python3/dist-packages/fail2ban"), Path("/etc/fail2ban/filter.d")
    return None if all(path.is_dir() for path in package) else "needs the package fail2ban"


def _machine() -> str | None:
    from tests.machines.machine import missing  # noqa: PLC0415 - only those tests need it

    return missing()


REAL_PARTS: Final = {
    "fail2ban": _fail2ban,
    "nftables": _root_with("nft", "ip"),
    "sshd": _root_with("sshd", "ssh", "sshpass", "ip"),
    "journald": _root_with("journalctl", "/lib/systemd/systemd-journal-remote"),
    "logrotate": _root_with("logrotate"),
    "kafka": _kafka,
    "rsyslog": _root_with("rsyslogd"),
    "machine": _machine,
}

ROOT: Final = Path(__file__).parents[1]
BROKER: Final = "broker"
NEEDS_BROKER: Final = re.compile(r'real\([^)]*"kafka"')


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--whole-machines`: run the tests that boot machines as well."""
    parser.addoption("--whole-machines", action="store_true", help="run the tests that boot machines, too")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests that boot machines unless they are asked for, or named."""
    asked = config.getoption("--whole-machines") or any("machines" in each for each in config.args)
    return True if collection_path.name == "machines" and not asked else None


class OneFleetAtATime(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Who runs what: a file goes to one process, and all files that need a broker to one and the same."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return BROKER if _needs_broker(file) else file


@cache
def _needs_broker(file: str) -> bool:
    return NEEDS_BROKER.search((ROOT / file).read_text(encoding="utf-8")) is not None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneFleetAtATime:
    """The scheduler of `-n`."""
    return OneFleetAtATime(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what needs a broker: it takes as long as all else."""
    items.sort(key=lambda item: not _needs_broker(item.location[0]))


def pytest_configure() -> None:
    """Heed SIGINT, which background shells have ignored: it is what stops programs under test."""
    quiet_libraries()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose real part is absent; fail it in CI, where nothing may be absent."""
    for mark in item.iter_markers("real"):
        for part in mark.args:
            missing = REAL_PARTS[part]()
            if missing and os.environ.get("CI"):
                pytest.fail(f"real part {part}: {missing}; `make test` installs it", pytrace=False)
            if missing:
                pytest.skip(f"REAL PART SKIPPED: {part}: {missing}")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Kafka cluster for the whole run: $BANSTREAM_KAFKA, or a broker started for it."""
    from tests.broker import Broker, Cluster  # noqa: PLC0415 - tests of other parts do without the extra

    address = os.environ.get("BANSTREAM_KAFKA")
    if address:
        yield Cluster(address)
        return
    with Broker(tmp_path_factory.mktemp("kafka")) as made:
        yield made
