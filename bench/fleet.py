"""From a failing line, which its host signs, to the element in another host's nftables, through Kafka.

Broker, one worker, a shipper and an enforcer, all in one network namespace, with nothing else to do. Run as
root. `python -m bench.fleet`, one JSON line a figure.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.figures import say
from bench.pipeline import CLONE_NEWNET, News, folder_of_bench, report, samples, status_mb
from tests.broker import Broker

BANSTREAM: Final = [sys.executable, "-P", "-m", "banstream"]
WARM_UP: Final = 100
SAMPLES: Final = 500
CONFIGURATION: Final = """
[log]
url = "{url}"
[ship]
directory = "{folder}/state"
host = "a"
key_file = "{folder}/host.key"
[enforcer]
host = "b"
[jail.sshd]
source = "file:{folder}/auth.log"
start = "beginning"
maxretry = 1
bantime = "1d"
"""


def main() -> None:
    """Measure the delay of one deciding line at a time, and the memory of each part afterwards."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        raise SystemExit("needs root: cannot make a network namespace")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    news = News()
    with folder_of_bench() as folder, broker(folder) as url:
        file = folder / "banstream.toml"
        file.write_text(CONFIGURATION.format(url=url, folder=folder), encoding="utf-8")
        (folder / "auth.log").touch()
        subprocess.run([*BANSTREAM, "hosts", "enroll", "--config", str(file)], check=True)
        with (
            role("decide", file, "Deciding") as decide,
            role("enforce", file, "Enforcing") as enforce,
            role("ship", file, "Shipping") as ship,
        ):
            samples(folder / "auth.log", news, WARM_UP)
            report("fleet_latency", samples(folder / "auth.log", news, SAMPLES, first=WARM_UP))
            for name, process in (("decide", decide), ("enforce", enforce), ("ship", ship)):
                say(f"{name}_rss", status_mb(process.pid, "VmRSS"), "MB")


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """The url of a log on a broker of our own, as an operator would run it."""
    with Broker(folder / "kafka", jvm=()) as made:
        yield made.url(4)


@contextmanager
def role(name: str, config: Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A role that has said that it is ready."""
    errors = config.with_name(f"{name}.err")
    with errors.open("wb") as sink:
        process = subprocess.Popen([*BANSTREAM, name, "--config", str(config)], stderr=sink)
    try:
        while ready not in errors.read_text(encoding="utf-8"):
            if process.poll() is not None:
                raise SystemExit(f"{name} ended: {errors.read_text(encoding='utf-8')}")
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
