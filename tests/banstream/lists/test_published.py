"""`[list.NAME]` through the whole pipeline: fetched over https, kept, large, torn by kill -9."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from banstream.lists.in_log import lists_in
from eventlog.urls import open_log
from schemas.records import ListChanged
from schemas.topics import COMMANDS
from tests.banstream.lists.serving import Server, answer, serving
from tests.banstream.lists.test_up import FOE, FRIEND, LATER, notices
from tests.banstream.service import Service, eventually, service
from tests.namespaces import Fleet, fleet

pytestmark = pytest.mark.real("nftables")

MANY = 200_000


@pytest.fixture
def net() -> Iterator[Fleet]:
    """A server, and who publishes lists."""
    with fleet("server", "outside") as made:
        yield made


@pytest.fixture
def published(net: Fleet, tmp_path: Path) -> Iterator[Server]:
    """An https server outside."""
    (tmp_path / "tls").mkdir()
    with net["outside"].inside():
        made = serving(tmp_path / "tls", net["outside"].ip4)
        running = made.__enter__()
    try:
        yield running
    finally:
        made.__exit__(None, None, None)


@pytest.fixture
def server(net: Fleet, tmp_path: Path) -> Iterator[Service]:
    """`up` on the server; it is not running yet."""
    with service(tmp_path, net["server"]) as made:
        yield made


def test_whom_a_published_list_names_is_counted_by_no_jail(server: Service, published: Server) -> None:
    """Fetched at the start, before anything is counted; where it cannot be fetched, what is known holds."""
    server.env["SSL_CERT_FILE"] = str(published.ca)
    published.answers["/partners"] = answer(f'{{"cidr":"{FRIEND}"}}\n{{"cidr":"192.0.2.0/24"}}\n'.encode())
    server.configure("maxretry = 3", more=f'[list.partners]\nfrom = "{published.url}/partners"')
    for ip in (FRIEND, "192.0.2.99", FOE):
        server.fail(ip, 3)
    server.start()
    eventually(lambda: server.elements() == {FOE}, "the foe is banned")
    assert {each.prefix for each in server.bans()} == {FOE}

    published.answers["/partners"] = answer(b"<html>no\n" * 3)
    server.stop(signal.SIGKILL)
    server.start()
    eventually(lambda: "more of it is wrong than right" in notices(server), "it is said")
    server.fail(FRIEND, 3)
    server.fail(LATER, 3)
    eventually(lambda: LATER in server.elements(), "a stranger is banned")
    assert FRIEND not in server.elements()

    published.answers["/partners"] = answer(f"{LATER}\n".encode())
    server.send(signal.SIGHUP)
    eventually(lambda: server.elements() == {FOE}, "who is a partner now is free")


@pytest.mark.timeout(240)
def test_a_large_list_that_a_kill_tears_comes_into_force_whole(server: Service) -> None:
    """Killed at any moment; the next start goes on, and what counts is never a part of it."""
    listed = server.folder / "many"
    config = f'[list.many]\nfrom = "file:{listed}"'
    server.configure("maxretry = 3", more=config)
    for nth in range(4):
        listed.write_text(
            "".join(f"10.{nth}.{each >> 8 & 255}.{each & 255}/32\n" for each in range(MANY // 4))
        )
        with listed.open("a") as more:
            more.writelines(f"11.{each >> 16}.{each >> 8 & 255}.{each & 255}\n" for each in range(MANY // 2))
        server.start(ready=False)
        time.sleep(0.7 + nth * 0.4)
        server.stop(signal.SIGKILL)
        if (server.folder / "state/log.db").exists():
            log = open_log(f"sqlite://{server.folder}/state/log.db", read_only=True)
            held = lists_in(log, 0).in_force.get("list:many")
            log.close()
            assert held is None or len(held.table) == 50_000 + MANY // 2
    server.start()
    parts = [
        each for each in server.kept(COMMANDS) if isinstance(each, ListChanged) and each.name == "list:many"
    ]
    assert len(parts) > 1
    server.fail("11.0.200.9", 3)
    server.fail("10.3.0.9", 3)
    server.fail("10.2.0.9", 3)
    eventually(lambda: server.elements() == {"10.2.0.9"}, "who was in an older one alone is banned")
