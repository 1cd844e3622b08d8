"""How fast several filters read one log, and what the library costs to load; as JSON lines.

`python -m bench.filters [LINES]`, from the root of the repository: an nginx access log, 1 % of it for one of
five web filters at once; a server's auth.log for one filter and for twenty. Each figure is the best of
REPEATS, in CPU seconds of one process; the logs are made in a temporary directory, and removed.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from bench import authlog
from bench.producers import LINES, NOW_MS, best, rates
from producers.filters import load_filter
from producers.filters.plan import Plan
from producers.offline import read_lines
from producers.stamps import LineClock

WEB: Final = ("web-auth", "web-scan", "wordpress", "magento", "tomcat")
TWENTY: Final = (
    *("sshd", "pam", "dropbear", "telnet", "webmin", "proxmox", "proftpd", "vsftpd", "pureftpd", "postfix"),
    *(
        "dovecot",
        "exim",
        "courier",
        "cyrus",
        "sendmail",
        "openvpn",
        "asterisk",
        "phpmyadmin",
        "bind",
        "mysql",
    ),
)
HOSTILE_SHARE: Final = 0.01
PATHS: Final = (
    "/",
    "/index.html",
    "/css/site.css",
    "/js/app.js",
    "/img/logo.png",
    "/blog/2026/11/hello",
    "/api/v1/items",
)
AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "curl/8.5.0",
    "Googlebot/2.1",
)
HOSTILE: Final = (
    ("GET /.env HTTP/1.1", 404),
    ("GET /private/ HTTP/1.1", 401),
    ("POST /wp-login.php HTTP/1.1", 200),
    ("GET /phpmyadmin/index.php HTTP/1.1", 404),
    ("GET /manager/html HTTP/1.1", 401),
)
LOAD: Final = """
import time
started = time.process_time()
from producers.filters import every_filter
from producers.filters.candidates import finder_of
finder_of(tuple(each.needles for each in every_filter())).lines(b"x")
print(time.process_time() - started)
"""


def main() -> None:
    """Measure, and print one JSON object a figure."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as directory:
        for figure in figures(Path(directory), lines):
            print(json.dumps(figure), flush=True)


def figures(directory: Path, lines: int) -> Iterator[dict[str, object]]:
    """Every figure."""
    access, auth = directory / "access.log", directory / "auth.log"
    write_access_log(access, lines)
    yield {"figure": "web", "filters": len(WEB), **best(partial(match, access, WEB))}
    yield {"figure": "web", "filters": 1, **best(partial(match, access, WEB[:1]))}
    for share in (0.05, 0.9):
        authlog.write(auth, lines, share)
        for names in (TWENTY[:1], TWENTY):
            yield {
                "figure": "auth",
                "attack": share,
                "filters": len(names),
                **best(partial(match, auth, names)),
            }
    seconds = min(_load_s() for _ in range(3))
    yield {"figure": "load", "seconds": round(seconds, 3)}


def match(path: Path, names: tuple[str, ...]) -> dict[str, float]:
    """Read one file, and match it against filters."""
    clock = LineClock(NOW_MS, "offline")
    plan = Plan([load_filter(name) for name in names])
    plan.scan(b"warm up\n", clock)
    started = time.process_time()
    events = sum(sum(map(len, plan.scan(data, clock))) for _, data in read_lines(str(path)))
    return rates(path, events, time.process_time() - started)


def write_access_log(path: Path, lines: int) -> None:
    """A combined access log, HOSTILE_SHARE of it hostile; the same each time."""
    chance = random.Random(7)
    start = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    with path.open("w", encoding="ascii") as stream:
        for number in range(lines):
            stamp = datetime.fromtimestamp(start + number * 0.05, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
            request, status = f"GET {chance.choice(PATHS)} HTTP/1.1", 200
            if chance.random() < HOSTILE_SHARE:
                request, status = chance.choice(HOSTILE)
            ip = f"198.51.{chance.randrange(100, 104)}.{chance.randrange(256)}"
            size, agent = chance.randrange(100, 90_000), chance.choice(AGENTS)
            stream.write(
                f'{ip} - - [{stamp}] "{request}" {status} {size} "https://www.example.com/" "{agent}"\n'
            )


def _load_s() -> float:
    """CPU seconds until the whole library can find its first line, in a new process."""
    command = [sys.executable, "-c", LOAD]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
