"""Requests of a web server, from its access log to packets that are dropped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.banstream.service import Service, eventually, say
from tests.banstream.test_policies import FOUR, reaches
from tests.namespaces import Fleet


def web(up: Service, jail: str) -> Callable[..., None]:
    """Configure a jail over an access log; what writes requests into that."""
    access = up.folder / "access.log"
    access.touch()
    source = f'source = "file:{access}"\nstart = "beginning"'
    up.configure(more=f'[jail.web]\nfilter = "requests"\n{source}\n{jail}')

    def ask(ip: str, path: str = "/", times: int = 1) -> None:
        at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        line = f'{ip} - - [{at}] "GET {path} HTTP/1.1" 200 5 "-" "curl"\n'
        with access.open("a", encoding="utf-8") as log:
            log.write(line * times)

    return ask


@pytest.mark.real("nftables")
def test_too_many_requests_ban(up: Service, net: Fleet) -> None:
    """Through a kill; the log has an event for many; a replay of it, and of the lines, decides the same."""
    net["attacker"].add(f"{FOUR}1")
    ask = web(up, 'maxretry = 1000\nfindtime = "5m"\nbantime = "1h"')
    up.start()
    ask(f"{FOUR}2", times=999)
    ask(f"{FOUR}1", times=600)
    eventually(lambda: sum(each.times for each in up.events()) == 1_599, "read")
    up.stop(signal.SIGKILL)
    up.start()
    so_far = "so far   600 of 1000 in jail web"
    eventually(lambda: so_far in say(up, "explain", f"{FOUR}1", code=1), "counted")
    ask(f"{FOUR}1", "/last", times=400)
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned")
    assert not reaches(net, f"{FOUR}1")
    assert sum(each.times for each in up.events()) == 1_999
    assert len(up.events()) < 40
    (ban,) = up.bans()
    assert (ban.count, ban.counted) == (1_000, "requests")
    assert "/last" in ban.lines[0]
    told = say(up, "explain", f"{FOUR}1")
    assert "1000 requests within 5m ban for 1h" in told
    assert f"[web] Ban {FOUR}1 requests=1000 within=5m" in up.errors
    assert "1000 requests within 5m ban for 1h" in say(up, "status", "web")
    assert "times within the second)" in say(up, "events", f"{FOUR}1")
    replayed = [each for each in up.json("replay", str(up.folder / "access.log")) if each["kind"] == "ban"]
    assert [(each["prefix"], each["jail"]) for each in replayed] == [(f"{FOUR}1", "web")]
    assert [each["prefix"] for each in up.json("replay", "--since", "1h")] == [f"{FOUR}1"]
    assert up.stop() == 0


@pytest.mark.real("nftables")
def test_a_decoy_path_bans_at_once(up: Service, net: Fleet) -> None:
    """However it is spelt; nothing else is in the log; explain names the decoy."""
    net["attacker"].add(f"{FOUR}1")
    ask = web(up, 'decoy_paths = ["/WP-login.php", "/.env*"]\nbantime = "1h"')
    up.start()
    ask(f"{FOUR}2", times=500)
    ask(f"{FOUR}1", "/x/../%2Eenv.old?y=1")
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned")
    assert not reaches(net, f"{FOUR}1")
    (event,) = up.events()
    assert (event.kind, event.path) == ("request", "/.env.old")
    assert 'decoy path "/.env*"' in say(up, "explain", f"{FOUR}1")
    assert "what asks for a decoy is banned for 1h" in say(up, "status", "web")
    for source in ([str(up.folder / "access.log")], ["--since", "1h"]):
        assert [each["prefix"] for each in up.json("replay", *source)] == [f"{FOUR}1"]
    assert up.stop() == 0


@pytest.mark.parametrize(
    ("jail", "said"),
    [
        ("", "jail.web.maxretry = nothing: expected how many requests within findtime ban"),
        ('decoy_paths = ["/*"]', "and none that everybody asks for"),
        ('decoy_paths = ["wp-login.php"]', 'expected paths such as "/wp-login.php"'),
        ('maxretry = 9\nkinds = ["request", "failed"]', "requests are counted alone"),
        ('maxretry = 9\nwindow = "fail2ban"', "requests are counted alone"),
    ],
)
def test_what_a_jail_over_requests_has_to_say(up: Service, jail: str, said: str) -> None:
    """Five requests, the usual maxretry, ban nobody by mistake."""
    web(up, jail)
    told = up.run("config", "check", "--config", str(up.config), code=2).stderr
    assert said in told


def test_what_is_shown_is_read_back(up: Service) -> None:
    """By `config show`: a jail of decoys alone, too."""
    for jail in ('decoy_paths = ["/.env"]', 'maxretry = 7\ndecoy_paths = ["/.env"]'):
        web(up, jail)
        (wire,) = up.json("config", "show")
        up.config.write_text(say(up, "config", "show"), encoding="utf-8")
        assert up.json("config", "show")[0]["rules"] == wire["rules"]


def test_the_filter_proves_itself(up: Service) -> None:
    """Every sample, in every form; and who names no filter is shown no requests."""
    up.run("filters", "test", "requests")
    line = '192.0.2.7 - - [22/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n'
    (up.folder / "access.log").write_text(line, encoding="utf-8")
    up.run("match", str(up.folder / "access.log"), code=1)
    assert "request" in up.run("match", "--filter", "requests", str(up.folder / "access.log")).stdout
