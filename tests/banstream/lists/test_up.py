"""Lists through the whole pipeline: from files, names and the machine itself to packets."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.records import ListChanged, Unban
from schemas.topics import COMMANDS, DECISIONS
from tests.banstream.service import Service, eventually, service
from tests.namespaces import Fleet, fleet

pytestmark = pytest.mark.real("nftables")

FRIEND, FOE, LATER = "203.0.113.9", "203.0.113.10", "203.0.113.11"
SIX = "2001:db8::9"


@pytest.fixture
def net() -> Iterator[Fleet]:
    """A server, and one machine with the addresses of friends and foes."""
    with fleet("server", "outside") as made:
        for address in (FRIEND, FOE, LATER, SIX):
            made["outside"].add(address)
        yield made


@pytest.fixture
def server(net: Fleet, tmp_path: Path) -> Iterator[Service]:
    """`up` on the server, which ignores who is in a file; it is not running yet."""
    (tmp_path / "friends").write_text(f"# the office\n{FRIEND}, {SIX} ; both families\n")
    with service(tmp_path, net["server"]) as made:
        made.configure(f'maxretry = 3\nbantime = "1h"\nignoreip = ["file:{tmp_path}/friends"]')
        yield made


def reached(net: Fleet, source: str) -> bool:
    """Whether an address gets an answer of the server."""
    server = net["server"]
    return net["outside"].reaches(server.ip6 if ":" in source else server.ip4, source=source)


def lists(made: Service) -> list[ListChanged]:
    """The lists that the log was told."""
    return [each for each in made.kept(COMMANDS) if isinstance(each, ListChanged)]


def notices(made: Service) -> str:
    """What `status` says is wrong."""
    return json.dumps(made.json("status", code=None)[0]["notices"])


def test_whom_a_file_names_is_never_banned_and_a_change_counts_at_once(net: Fleet, server: Service) -> None:
    """Also the bans in force of whom it names newly end; a restart after kill -9 knows it still."""
    server.start()
    for ip in (FRIEND, SIX, FOE, LATER):
        server.fail(ip, 3)
    eventually(lambda: server.elements() == {FOE, LATER}, "both foes are banned")
    assert [reached(net, ip) for ip in (FRIEND, SIX, FOE, LATER)] == [True, True, False, False]

    (server.folder / "friends").write_text(f"{FRIEND}\n{SIX}\n{LATER}\n")
    eventually(lambda: server.elements() == {FOE}, "who is a friend now is free")
    assert reached(net, LATER)
    (unban,) = [each for each in server.kept(DECISIONS) if isinstance(each, Unban)]
    assert (unban.prefix, unban.reason, unban.why) == (
        LATER,
        "allowed",
        f"in the list file:{server.folder}/friends",
    )

    server.stop(signal.SIGKILL)
    (server.folder / "friends").unlink()
    server.start()
    server.fail(LATER, 3)
    server.fail("203.0.113.77", 3)
    eventually(lambda: "203.0.113.77" in server.elements(), "a stranger is banned")
    assert server.elements() == {FOE, "203.0.113.77"}
    eventually(lambda: "it is not there" in notices(server), "that the file is gone is said")


def test_own_addresses_are_not_counted_unless_the_jail_says_so(server: Service) -> None:
    """fail2ban's ignoreself; the firewall would not take them anyway."""
    assert server.host is not None
    server.start()
    server.fail(server.host.ip4, 3)
    server.fail(FOE, 3)
    eventually(lambda: server.elements() == {FOE}, "the foe is banned")
    assert {each.prefix for each in server.bans()} == {FOE}
    assert {each.name for each in lists(server)} == {"self", f"file:{server.folder}/friends"}

    server.configure("maxretry = 3\nignoreself = false")
    server.send(signal.SIGHUP)
    eventually(lambda: "Configuration reloaded" in server.errors, "it is read")
    server.fail(server.host.ip4, 3)
    eventually(lambda: len(server.bans()) > 1, "own addresses are counted")
    assert {each.name for each in lists(server) if not each.prefixes} == {
        "self",
        f"file:{server.folder}/friends",
    }


def test_a_host_name_stands_for_its_addresses(server: Service) -> None:
    """As the machine resolves it; one that it cannot resolve is said, and holds up nothing."""
    hosts = server.folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{FRIEND} home.example.org\n{SIX} home.example.org\n")
    (server.folder / "friends").write_text("# nobody\n")
    server.configure('maxretry = 3\nignoreip = "home.example.org away.example.invalid"')
    server.prefix = ("unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts; exec "$0" "$@"')
    server.start()
    for ip in (FRIEND, SIX, FOE):
        server.fail(ip, 3)
    eventually(lambda: server.elements() == {FOE}, "the foe is banned")
    assert {each.prefix for each in server.bans()} == {FOE}
    eventually(lambda: "away.example.invalid has no address" in notices(server), "the other is said")


def test_a_file_with_wrong_lines_counts_as_far_as_it_is_right(server: Service) -> None:
    """What is wrong is said, made harmless; a file that is nothing but wrong leaves the one of before."""
    friends = server.folder / "friends"
    friends.write_bytes(b"203.0.113.9 192.0.2.0/24\n2001:db8::9\n10.0.0.300 \x1b]0:owned\x07\n0.0.0.0/0\n")
    server.start()
    eventually(lambda: "10.0.0.300" in notices(server), "it is said")
    said = server.run("status", "--config", str(server.config), code=None).stdout
    assert "\x1b" not in said
    assert "\\x1b]0:owned" in said
    assert "hardly anybody could be banned" in said
    friends.write_bytes(b"\x00\xff\xfe???\n" * 3)
    eventually(lambda: "more of it is wrong than right" in notices(server), "it is said")
    server.fail(FRIEND, 3)
    server.fail(FOE, 3)
    eventually(lambda: server.elements() == {FOE}, "the foe is banned")
    assert {each.prefix for each in server.bans()} == {FOE}


def test_explain_names_the_list_that_spares_somebody(server: Service) -> None:
    """Of the file, of the machine itself; and `ban` says that it bans whom a list spares."""
    server.start()
    server.fail(FRIEND, 3)
    server.fail(FOE, 3)
    eventually(lambda: server.elements() == {FOE}, "the foe is banned")
    said = server.run("explain", FRIEND, "--config", str(server.config), code=None).stdout
    assert f"jail sshd ignores it: {FRIEND} is in the list file:{server.folder}/friends" in said
    told = server.run("ban", FRIEND, "--config", str(server.config), code=None)
    assert f"the list file:{server.folder}/friends" in told.stdout + told.stderr
    server.fail(LATER)
    eventually(lambda: len(server.events()) == 7, "one more has failed")
    server.stop()
    counted = server.run("explain", LATER, "--config", str(server.config), code=None).stdout
    assert "1 of 3" in counted, counted
