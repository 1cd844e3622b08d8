"""Lists of whom to ban through the whole pipeline: from files to packets that are dropped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from enforcers.list_sets import tables_of
from tests.banstream.lists.test_up import FOE, FRIEND, LATER, SIX, lists, notices, reached
from tests.banstream.service import Service, eventually, say, service
from tests.namespaces import Fleet, fleet

pytestmark = pytest.mark.real("nftables")

OTHER = "198.51.100.7"


@pytest.fixture
def net() -> Iterator[Fleet]:
    """A server, and one machine with the addresses of friends and foes."""
    with fleet("server", "outside") as made:
        for address in (FRIEND, FOE, LATER, OTHER, SIX):
            made["outside"].add(address)
        yield made


@pytest.fixture
def server(net: Fleet, tmp_path: Path) -> Iterator[Service]:
    """`up` on the server; it is not running yet."""
    with service(tmp_path, net["server"]) as made:
        yield made


def ban_list(made: Service, name: str, text: str) -> str:
    """A list of whom to ban in a file, as configuration."""
    (made.folder / name).write_text(text)
    return f'[list.{name}]\nfrom = "file:{made.folder}/{name}"\naction = "ban"\n'


def come_through(net: Fleet) -> set[str]:
    """Those whose packets the server answers."""
    server = net["server"]
    return {
        ip
        for ip in (FRIEND, FOE, LATER, OTHER, SIX)
        if net["outside"].reaches(server.ip6 if ":" in ip else server.ip4, source=ip, within_s=0.2)
    }


def says(made: Service, what: str) -> bool:
    """Whether `status` warns so."""
    return what in notices(made)


def tables(made: Service) -> set[str]:
    """The tables of lists in the firewall."""
    assert made.host is not None
    said = made.host.run(["nft", "list", "tables"]).stdout
    return {name for name in tables_of("banstream") if f"table inet {name}\n" in said}


def shows_lists(server: Service) -> None:
    """Commands say that an address is refused, and by which lists."""
    said = say(server, "explain", FOE)
    assert f"{FOE}: not banned by a jail" in said
    assert "refused by the list drop (203.0.113.0/24)" in said
    assert f"refused by the list more ({FOE})" in said
    about = server.json("explain", OTHER)[0]["about"]
    assert about["listed"] == [{"name": "more", "entry": OTHER, "passes": None}]
    told = server.run("bans", "--prefix", FOE, "--config", str(server.config), code=1)
    assert f"{FOE}: refused by the list drop (203.0.113.0/24)" in told.stdout + told.stderr
    shown = {each["name"]: (each["action"], each["prefixes"]) for each in server.json("lists", "show")}
    assert (shown["ban:drop"], shown["ban:more"]) == (("ban", 2), ("ban", 2))
    assert [each["prefix"] for each in server.json("lists", "show", "more")] == [OTHER, FOE]
    eventually(
        lambda: "Lists of whom to ban: drop, more; the firewall refuses 4 prefixes" in say(server, "status"),
        "status says it",
    )


def test_whom_a_list_names_is_dropped_and_a_change_is_a_difference(net: Fleet, server: Service) -> None:
    """Both families, no decision; two lists may name the same; restarts keep it, a list gone is lifted."""
    first = ban_list(server, "drop", f"203.0.113.0/24\n{SIX}\n")
    second = ban_list(server, "more", f"{FOE}\n{OTHER}\n")
    server.configure(f'maxretry = 3\nignoreip = "{FRIEND}"', more=first + second)
    server.start()
    eventually(lambda: come_through(net) == {FRIEND}, "all but the friend are dropped")
    assert server.bans() == []
    assert server.elements() == set()

    shows_lists(server)
    say(server, "allow", LATER)
    eventually(lambda: come_through(net) == {FRIEND, LATER}, "whom an operator allows passes")
    say(server, "allow", LATER, "--remove")
    eventually(lambda: come_through(net) == {FRIEND}, "and no more")

    said = say(server, "explain", FRIEND)
    assert f"the list drop names it (203.0.113.0/24), but it passes: jail sshd ignores {FRIEND}" in said
    (server.folder / "drop").write_text(f"{SIX}\n")
    eventually(lambda: come_through(net) == {FRIEND, LATER}, "the other list still names the foe")
    server.stop(signal.SIGKILL)
    assert come_through(net) == {FRIEND, LATER}
    told = len(lists(server))
    server.start()
    server.fail(LATER, 3)
    eventually(lambda: server.elements() == {LATER}, "a jail bans besides")
    assert come_through(net) == {FRIEND}
    assert len(lists(server)) == told

    server.stop()
    server.configure(f'maxretry = 3\nignoreip = "{FRIEND}"', more=second)
    server.start()
    eventually(lambda: come_through(net) == {FRIEND, SIX}, "what is not configured is lifted")
    server.configure(f'maxretry = 3\nignoreip = "{FRIEND}"')
    server.send(signal.SIGHUP)
    eventually(lambda: tables(server) == set(), "nothing is left of it")
    assert come_through(net) == {FRIEND, OTHER, FOE, SIX}


def test_what_others_do_to_it_is_put_right(net: Fleet, server: Service) -> None:
    """A flushed firewall, an element taken out; an operator's flush takes lists along."""
    server.configure(more=ban_list(server, "drop", f"{FOE}\n{SIX}\n"))
    server.start()
    passing = {FRIEND, LATER, OTHER}
    eventually(lambda: come_through(net) == passing, "dropped")
    assert server.host is not None
    server.host.run(["nft", "flush", "ruleset"])
    eventually(lambda: come_through(net) == passing, "dropped again")
    (table,) = tables(server)
    server.host.run(["nft", "delete", "element", "inet", table, "l4_32", f"{{ {FOE} }}"])
    eventually(lambda: come_through(net) == passing, "dropped again")
    say(server, "flush")
    eventually(lambda: tables(server) == set(), "nothing is left")
    say(server, "reload")
    eventually(lambda: come_through(net) == passing, "dropped again")


def test_a_list_that_would_ban_everybody_is_refused(net: Fleet, server: Service) -> None:
    """The copy of before stays; it is said, whatever the bytes."""
    listed = ban_list(server, "drop", f"{FOE}\n")
    server.configure(more=listed)
    server.start()
    eventually(lambda: not reached(net, FOE), "dropped")
    for text, why in (
        (f"{OTHER}\n0.0.0.0/0\n", "0.0.0.0/0 holds more addresses than a list may ban in one"),
        (
            "".join(f"{nth}.0.0.0/8\n" for nth in range(1, 40)),
            "it holds more than a /3 of all IPv4 addresses",
        ),
        ("\x1b]0;owned\x07 x y\n" * 9, "more of it is wrong than right"),
    ):
        (server.folder / "drop").write_text(text)
        eventually(partial(says, server, why), why)
    assert come_through(net) == {FRIEND, LATER, OTHER, SIX}
    assert "\x1b" not in notices(server)
