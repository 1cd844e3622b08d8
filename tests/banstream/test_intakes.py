"""What others send to `banstream up` counts as what it reads itself: a real rsyslog sends it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from banstream.config import load_settings
from schemas.errors import ConfigError
from tests.banstream.service import Service, eventually, service, stamp
from tests.producers.intakes.listening import free_port
from tests.sinks.certificates import Certificates

WAYS = ("udp", "tcp", "tls", "http")
"""Over HTTP as to Elasticsearch."""
SENDER = 'from = ["127.0.0.0/8"]\nhosts = ["web*"]\n'


def listen(way: str, ports: dict[str, int]) -> str:
    """Where a way ends."""
    return f"{'' if way == 'http' else 'syslog+'}{way}://127.0.0.1:{ports[way]}"


def intakes(ports: dict[str, int], files: Certificates) -> str:
    """An intake for each way; over TLS who has the certificate may send."""
    tls = (
        f'certificate = "{files.server}"\nkey = "{files.server.with_suffix(".key")}"\n'
        f'client_ca = "{files.ca}"\n'
    )
    return "".join(
        f'[intake.{way}]\nlisten = "{listen(way, ports)}"\n'
        + (tls if way == "tls" else "")
        + f"[intake.{way}.sender.lan]\n"
        + (SENDER if way != "tls" else 'certificates = ["localhost"]\nhosts = ["web*"]\n')
        for way in WAYS
    )


@contextmanager
def rsyslog(folder: Path, files: Certificates, ports: dict[str, int]) -> Iterator[Path]:
    """A real rsyslog that sends each line of a file by every way: the file."""
    lines = folder / "lines"
    lines.touch()
    secured = 'StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name"'
    (folder / "rs.conf").write_text(
        f"""
global(workDirectory="{folder}" defaultNetstreamDriverCAFile="{files.ca}"
 defaultNetstreamDriverCertFile="{files.client}"
 defaultNetstreamDriverKeyFile="{files.client.with_suffix(".key")}")
module(load="imfile") module(load="omelasticsearch")
template(name="old" type="string" string="<38>%msg%")
template(name="document" type="list" option.jsonf="on") {{
 property(outname="message" name="msg" format="jsonf")
 property(outname="hostname" name="msg" format="jsonf" field.number="2" field.delimiter="32")
}}
ruleset(name="r"){{
 action(type="omfwd" target="127.0.0.1" port="{ports["udp"]}" protocol="udp" template="old")
 action(type="omfwd" target="127.0.0.1" port="{ports["tcp"]}" protocol="tcp" template="old")
 action(type="omfwd" target="127.0.0.1" port="{ports["tls"]}" protocol="tcp" TCP_Framing="octet-counted"
  template="old" {secured} StreamDriverPermittedPeers="localhost")
 action(type="omelasticsearch" server="127.0.0.1" serverport="{ports["http"]}" searchType="" bulkmode="on"
  searchIndex="logs" template="document")
}}
input(type="imfile" file="{lines}" tag="t" ruleset="r" reopenOnTruncate="on")
""",
        encoding="utf-8",
    )
    command = ["rsyslogd", "-n", "-i", str(folder / "pid"), "-f", str(folder / "rs.conf")]
    with (folder / "err").open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield lines
        finally:
            process.terminate()
            process.wait(20)


def failures(host: str, ip: str, number: int) -> str:
    """Failed logins on a host, a connection each."""
    return "".join(
        f"{stamp()} {host} sshd[{nth}]: Failed password for root from {ip} port {4_000 + nth} ssh2\n"
        for nth in range(number)
    )


def ways_of(made: Service, ip: str) -> list[str]:
    """By which ways the failures of an address came."""
    return sorted(
        each.source.removeprefix("syslog+").partition(":")[0] for each in made.events() if each.ip == ip
    )


@pytest.mark.real("rsyslog")
def test_a_real_rsyslogs_lines_ban(tmp_path: Path) -> None:
    """By UDP, TCP, TLS and bulks, through a reload; for a host that is not its own nothing counts."""
    files = Certificates(tmp_path)
    ports = {way: free_port() for way in WAYS}
    sources = '", "'.join(listen(way, ports) for way in WAYS)
    with service(tmp_path) as made:
        made.config.write_text(
            f'[log]\nurl = "sqlite://{tmp_path}/state/log.db"\n[enforcer]\nbackend = "null"\n'
            f'[jail.sshd]\nsource = ["{sources}"]\nmaxretry = 8\n{intakes(ports, files)}'
        )
        made.start()
        with rsyslog(tmp_path, files, ports) as lines:
            with lines.open("a") as file:
                file.write(failures("db1", "203.0.113.9", 2) + failures("web1", "203.0.113.7", 2))
            eventually(lambda: len(ways_of(made, "203.0.113.7")) == 8, "all came by every way")
            made.send(signal.SIGHUP)
            eventually(lambda: "Configuration reloaded" in made.errors, "it was reloaded")
            with lines.open("a") as file:
                file.write(failures("web2", "203.0.113.8", 2))
            eventually(lambda: len(ways_of(made, "203.0.113.8")) == 8, "connections went on")
        eventually(lambda: len(made.bans()) == 2, "both are banned")
        (status,) = made.json("status")
        assert made.stop() == 0
    assert ways_of(made, "203.0.113.8") == ["http", "http", "tcp", "tcp", "tls", "tls", "udp", "udp"]
    assert {each.ip for each in made.events()} == {"203.0.113.7", "203.0.113.8"}
    assert {each.host for each in made.events()} == {"web1", "web2"}
    refused = {name: count for name, count in status["notices"].items() if "may not speak for" in name}
    assert sorted(refused.values()) == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", r"jail\.sshd\.source.*an \[intake\.NAME\] with listen = \"syslog\+tcp://127\.0\.0\.1:514\""),
        ("[intake.a]\nlisten = 'tcp://x'", r"intake\.a\.listen.*syslog\+udp://ADDRESS:PORT"),
        ("[intake.a]\nlisten = 'syslog+tcp://127.0.0.1:514'", r"intake\.a\.sender.*who may send"),
        (
            "[intake.a]\nlisten = 'syslog+tcp://127.0.0.1:514'\n[intake.a.sender.b]\nhosts = ['*']",
            r"intake\.a\.sender\.b\.from.*the networks it sends from",
        ),
        (
            "[intake.a]\nlisten = 'syslog+tcp://127.0.0.1:514'\n[intake.a.sender.b]\nfrom = ['::1']",
            r"intake\.a\.sender\.b\.hosts.*the names of hosts",
        ),
        (
            "[intake.a]\nlisten = 'syslog+tls://127.0.0.1:514'\nsender.b = {certificates = 'x', hosts = '*'}",
            r"intake\.a\.certificate.*PEM(.|\n)*intake\.a\.client_ca.*authority",
        ),
        (
            "[intake.a]\nlisten = 'http://127.0.0.1:80'\nsender.b = {certificates = 'x', hosts = '*'}",
            r"intake\.a\.sender\.b\.certificates.*only syslog\+tls:// and https://",
        ),
        (
            "[intake.a]\nlisten = 'kafka://r'\nsender = {b = {from = '::1', hosts = 'x'}, c = {hosts = 'x'}}",
            r"intake\.a\.servers.*kafka://host:9092(.|\n)*broker says(.|\n)*in a topic nobody can be told",
        ),
    ],
)
def test_what_an_intake_lacks_is_said(tmp_path: Path, more: str, said: str) -> None:
    """Who may send, and for which hosts, is never left to chance."""
    file = tmp_path / "banstream.toml"
    file.write_text(f"[jail.sshd]\nsource = 'syslog+tcp://127.0.0.1:514'\n{more}\n")
    with pytest.raises(ConfigError, match=said):
        load_settings(str(file))
