"""`banstream fail2ban-client` answers as fail2ban's own client does: both are asked the same."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.banstream.importing.oracle import Server
from tests.banstream.service import BANSTREAM, Service, eventually

JAILS = "dovecot", "sshd"
ASKED = [
    "ping",
    "status",
    "status sshd",
    "status nosuch",
    "get sshd ignoreip",
    "get sshd findtime",
    "get dovecot findtime",
    "get sshd maxretry",
    "get dovecot bantime",
    "get sshd bantime",
    "get sshd logpath",
    "get sshd journalmatch",
    "set sshd banip 192.0.2.7 192.0.2.8",
    "set sshd banip 192.0.2.7",
    "set sshd banip",
    "set dovecot banip 192.0.2.7 2001:db8::1",
    "set nosuch banip 192.0.2.7",
    "banned",
    "banned 192.0.2.7",
    "banned 192.0.2.7 192.0.2.99",
    "get sshd banip --with-time",
    "get dovecot banip --with-time",
    "get sshd banned",
    "get sshd banned 192.0.2.7",
    "get sshd banned 192.0.2.7 192.0.2.9",
    "get nosuch banip",
    "status sshd",
    "status sshd short",
    "set sshd unbanip 192.0.2.7",
    "set sshd unbanip 192.0.2.77",
    "set sshd unbanip --report-absent 192.0.2.77",
    "status sshd",
    "get sshd banip",
    "unban 192.0.2.7",
    "banned",
    "unban --all",
    "banned",
    "get dovecot banip",
    "status dovecot",
    "set sshd addignoreip 198.51.100.0/24",
    "set sshd delignoreip 198.51.100.0/24",
    "reload",
    "nonsense",
    "get sshd nonsense",
]
CLOCK = re.compile(
    r"(?<= \+ )60[1-9]|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= \+)|(?<== )2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d"
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """`up`, observing, with the same two jails."""
    made = Service(tmp_path)
    made.log.touch()
    made.configure(
        f'bantime = "10m"\n[jail.dovecot]\nsource = "file:{made.log}"\nfindtime = "1d"\nbantime = -1\n'
        "[defaults]\nignoreip = []",
        enforcer='backend = "null"',
    )
    made.start()
    yield made
    made.stop()


def plain(said: str) -> str:
    """An answer without the time of day, and with what stands in no order sorted."""
    if said.startswith("["):
        return repr(ordered(ast.literal_eval(said)))
    listed = re.sub(r"(?<=Banned IP list:\t).*", lambda found: " ".join(sorted(found[0].split())), said)
    return CLOCK.sub(lambda found: "600" if found[0].isdigit() else "TIME", listed)


def ordered(value: Any) -> Any:
    """A list of lists, dicts and texts, each sorted."""
    if isinstance(value, dict):
        return {name: ordered(each) for name, each in value.items()}
    return sorted(map(ordered, value), key=repr) if isinstance(value, list) else value


def answer(service: Service, asked: str) -> tuple[str, int]:
    """What banstream prints on stdout, and its exit code."""
    done = service.run("fail2ban-client", "--config", str(service.config), *asked.split(), code=None)
    return plain(done.stdout), done.returncode


@pytest.mark.real("fail2ban")
def test_every_answer_is_fail2bans_own(service: Service, tmp_path: Path) -> None:
    """Word by word, and the exit code, of a conversation: status, bans, unbans, lists, errors."""
    jail = f"enabled = true\nlogpath = {service.log}\n"
    server = Server(tmp_path, f"[sshd]\n{jail}[dovecot]\n{jail}findtime = 1d\nbantime = -1\n")
    try:
        for asked in ASKED:
            done = server.ask(*asked.split(), code=None)
            theirs = plain(done.stdout), done.returncode
            assert answer(service, asked) == theirs, asked
    finally:
        server.close()


def test_failures_are_counted_in_the_jails_tree(service: Service) -> None:
    """As attackers come: who fails, who is banned; `--all` has the tree of each jail (as 1.1 has it)."""
    service.fail("192.0.2.7", 5)
    service.fail("192.0.2.8")
    tree = (
        "|- Filter\n{0}|  |- Currently failed:\t1\n{0}|  |- Total failed:\t6\n{0}|  `- File list:\t{1}\n"
        "{0}`- Actions\n{0}   |- Currently banned:\t1\n{0}   |- Total banned:\t1\n"
        "{0}   `- Banned IP list:\t192.0.2.7\n"
    )
    said = f"Status for the jail: sshd\n{tree.format('', service.log)}", 0
    eventually(lambda: answer(service, "status sshd") == said, "the tree of sshd")
    everything, _ = answer(service, "status --all")
    assert everything.startswith(
        "Status\n|- Number of jail:\t2\n|- Jail list:\tdovecot, sshd\n`- Status for the jails:\n"
    )
    assert everything.endswith(f"   `- Jail: sshd\n      {tree.format('      ', service.log)}")
    assert "   |- Jail: dovecot\n   |  |- Filter\n   |  |  |- Currently failed:\t0\n" in everything


def test_what_there_is_not_says_what_to_use(service: Service) -> None:
    """On stderr, with exit code 255; an address that is none is refused."""
    for asked, hint in (
        ("set sshd bantime 60", "set bantime in [jail.sshd] of banstream.toml"),
        ("stop", "`banstream stop`"),
        ("get sshd failregex", "sshd of the library has none"),
        ("reload --unban", "`unban --all`, then `reload`"),
        ("set sshd banip example.com", "expected an address or prefix"),
    ):
        done = service.run("fail2ban-client", "--config", str(service.config), *asked.split(), code=255)
        assert hint in done.stderr


def test_a_link_of_its_name_is_the_command(service: Service, tmp_path: Path) -> None:
    """fail2ban's own options before the words are passed over; without `up` it fails as without a server."""
    link = tmp_path / "fail2ban-client"
    link.write_text(
        f"#!{BANSTREAM[0]} -P\nimport sys\nfrom banstream.__main__ import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    link.chmod(0o755)
    asked = [str(link), "-s", "/run/x.sock", "-q"]
    done = subprocess.run(
        [*asked, "ping"], env=service.env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Server replied: pong\n"
    service.stop()
    done = subprocess.run(
        [*asked, "ping"], env=service.env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (255, "")
    assert "`banstream up` does not run" in done.stderr
    service.start()
