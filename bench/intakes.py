"""Intakes: lines that others send, to events in a log; rsyslog to a file beside it; parse's memory.

`python -m bench.intakes [syslog] [rsyslog] [http] [parse]`, as root, from the root of the repository.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.authlog import write
from bench.figures import say
from eventlog.sqlite import SqliteLog
from producers.intakes.settings import AllowedSender, Intake
from producers.producer import Producer, WatchedSource

LINES: Final = 600_000
SHARES: Final = (0.05, 0.9)
"""Of lines that are an attack's."""
BULK: Final = 5_000
"""Lines of a request."""
PORT: Final = 15_599
IDLE_S: Final = 10
SEND: Final = """
import socket, sys
data = open(sys.argv[1], 'rb').read()
made = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
made.sendall(data)
made.shutdown(socket.SHUT_WR)
made.recv(1)
"""
POST: Final = """
import sys, urllib3
bodies = open(sys.argv[1], 'rb').read().split(b'\\0')
pool = urllib3.PoolManager()
for body in bodies:
    assert pool.request('POST', f'http://127.0.0.1:{sys.argv[2]}/_bulk', body=body).status == 200
"""


def main(arguments: list[str]) -> None:
    """Measure what is asked for, or all of it."""
    with tempfile.TemporaryDirectory(prefix="banstream-bench-") as folder:
        for name, measure in MEASURES.items():
            if not arguments or name in arguments:
                measure(Path(folder))


def syslog(folder: Path) -> None:
    """Over TCP, by lines and with octets counted."""
    for share in SHARES:
        lines = _lines(folder, share)
        for name, data in {
            "lines": b"".join(b"<38>%s\n" % each for each in lines),
            "counted": b"".join(b"%d <38>%s" % (len(each) + 4, each) for each in lines),
        }.items():
            (folder / "data").write_bytes(data)
            _measure(folder, f"syslog_tcp_{name}_{share:.0%}", "syslog+tcp", SEND)


def rsyslog(folder: Path) -> None:
    """The same lines to a file, by rsyslog."""
    (folder / "data").write_bytes(b"".join(b"<38>%s\n" % each for each in _lines(folder, SHARES[0])))
    out = folder / "out"
    (folder / "rs.conf").write_text(
        f'global(workDirectory="{folder}")\nmodule(load="imptcp")\n'
        f'input(type="imptcp" address="127.0.0.1" port="{PORT}")\naction(type="omfile" file="{out}")\n'
    )
    command = ["rsyslogd", "-n", "-i", str(folder / "pid"), "-f", str(folder / "rs.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while not _listens():
            time.sleep(0.05)
        started = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", SEND, str(folder / "data"), str(PORT)]) as sender:
            while _count(out) < LINES:
                time.sleep(0.02)
            seconds = time.perf_counter() - started
            process.terminate()
            sender.wait()
    say("rsyslog_tcp_to_a_file", LINES / seconds, "lines/s")


def http(folder: Path) -> None:
    """Elastic's bulk, a request after the other, on one connection."""
    for share in SHARES:
        lines = _lines(folder, share)
        bodies = (
            b"".join(
                b'{"create":{}}\n{"message":"%s","host":{"name":"server"},"log":{"file":{"path":'
                b'"/var/log/auth.log"},"offset":1}}\n' % each.replace(b'"', b'\\"')
                for each in lines[start : start + BULK]
            )
            for start in range(0, LINES, BULK)
        )
        (folder / "data").write_bytes(b"\0".join(bodies))
        _measure(folder, f"http_bulk_{share:.0%}", "http", POST)


def parse(folder: Path) -> None:
    """Idle, on a broker of this machine."""
    from bench.worker import cluster, resident_mb  # noqa: PLC0415 - only this one needs a broker

    with cluster(folder) as broker:
        url = broker.url(1)
        with closing(broker.admin()) as admin:
            admin.create_topics({"bench-raw": {"num_partitions": 4, "replication_factor": 1}})
        config = folder / "parse.toml"
        config.write_text(
            f'[log]\nurl = "{url}"\n[ship]\ndirectory = "{folder}"\n[jail.sshd]\nsource = "kafka://bench-raw"\n'
            '[intake.raw]\nlisten = "kafka://bench-raw"\n[intake.raw.sender.all]\nhosts = ["*"]\n'
        )
        command = [sys.executable, "-P", "-m", "banstream", "parse", "--quiet", "--config", str(config)]
        with subprocess.Popen(command) as process:
            time.sleep(IDLE_S)
            say("parse_idle_memory", resident_mb(process), "MB")
            process.terminate()


def _measure(folder: Path, figure: str, scheme: str, send: str) -> None:
    """From the first line to the last event in a log in a file, and the processor time of the intake."""
    anyone = AllowedSender(name="all", networks=("127.0.0.0/8",), hosts=("*",))
    intake = Intake(name="bench", listen=f"{scheme}://127.0.0.1:{PORT}", senders=(anyone,))
    file = folder / f"{figure}.db"
    with closing(SqliteLog.open(file)) as log:
        watch = WatchedSource(source=intake.listen, filters=("sshd",), intake=intake)
        with closing(Producer(log, [watch])) as producer:
            command = [sys.executable, "-c", send, str(folder / "data"), str(PORT)]
            with subprocess.Popen(command) as process:
                started, used = time.perf_counter(), time.process_time()
                while process.poll() is None or producer.poll():
                    if not producer.poll():
                        select.select(producer.filenos(), [], [], 0.05)
                seconds, busy = time.perf_counter() - started, time.process_time() - used
            events = producer.status().events
    say(figure, LINES / seconds, "lines/s")
    say(f"{figure}_processor", LINES / busy, "lines/s")
    say(f"{figure}_events", events, "events")
    file.unlink()


def _lines(folder: Path, share: float) -> list[bytes]:
    path = folder / "auth.log"
    write(path, LINES, share)
    return path.read_bytes().splitlines()


def _listens() -> bool:
    with socket.socket() as made:
        return made.connect_ex(("127.0.0.1", PORT)) == 0


def _count(out: Path) -> int:
    if not out.exists():
        return 0
    counted = subprocess.run(["wc", "-l", str(out)], capture_output=True, check=False).stdout
    return int(counted.split()[0])


MEASURES: Final = {"syslog": syslog, "rsyslog": rsyslog, "http": http, "parse": parse}

if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path.cwd()))
    main(sys.argv[1:])
