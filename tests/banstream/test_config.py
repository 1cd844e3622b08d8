"""The configuration: what it gives, and every way it can be wrong."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from banstream.config import load_settings
from banstream.healing import settings_to_watch
from banstream.jails import CheckDepth
from banstream.watches import form_of_file, watches
from producers.filters import load_filter
from schemas.bounds import MOST_LABELS
from schemas.errors import ConfigError
from schemas.rules import Escalation, Increment, Threshold
from tests.banstream.service import Service, eventually

LABELS = "".join(f'l{number} = "x"\n' for number in range(MOST_LABELS + 1))


def problems(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a configuration, file names cut off."""
    file = tmp_path / "banstream.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(str(file))
    assert all(problem.startswith(f"{tmp_path}/") for problem in caught.value.problems)
    return [problem.removeprefix(f"{file}: ") for problem in caught.value.problems]


def test_every_key_reaches_the_settings(tmp_path: Path) -> None:
    """What is written is what holds; defaults apply where a jail says nothing."""
    (tmp_path / "a.log").touch()
    file = tmp_path / "banstream.toml"
    file.write_text(
        f"""
[log]
url = "sqlite:///tmp/x.db"
[defaults]
findtime = "1d12h"
ignoreip = "127.0.0.1 2001:DB8::/32, 192.0.2.0/24"
[decider]
lateness = "2h"
max_subjects = 5000
membership = "aiokafka"
[jail.ssh]
filter = "sshd"
source = ["file:{tmp_path}/a.log", "stdin"]
maxretry = 4
bantime = -1
ports = [2222, 22]
kinds = ["failed", "probed"]
labels = {{ site = "fra" }}
forgive = true
start = "end"
[jail.off]
filter = "sshd"
enabled = false
[enforcer]
backend = "null"
never_ban = ["198.51.100.0/24"]
keep_on_stop = false
host = "web1"
jails = ["sshd", "mail"]
labels = {{ site = "fra" }}
[ship]
directory = "/srv/state"
spool = "64 MB"
host = "web2"
labels = {{ site = "fra", tier = "edge" }}
key_file = "/etc/banstream/host.key"
""",
        encoding="utf-8",
    )
    settings = load_settings(str(file))
    (jail,) = settings.jails
    assert (jail.rules.name, jail.rules.filters, jail.rules.maxretry) == ("ssh", ("sshd",), 4)
    assert (jail.rules.findtime_ms, jail.rules.bantime_ms) == (129_600_000, None)
    assert jail.rules.ignoreip == ("127.0.0.1", "2001:db8::/32", "192.0.2.0/24")
    assert (jail.rules.ports, jail.rules.kinds, jail.rules.forgive) == (
        (22, 2222),
        ("failed", "probed"),
        True,
    )
    assert (jail.sources, jail.start) == ((f"file:{tmp_path}/a.log", "stdin"), "end")
    assert (settings.lateness_ms, settings.max_subjects) == (7_200_000, 5_000)
    assert (settings.enforcer.backend, settings.enforcer.never_ban) == ("null", ("198.51.100.0/24",))
    assert not settings.enforcer.keep_on_stop
    assert (settings.decider.membership, settings.decider.workers) == ("aiokafka", 1)
    assert (settings.enforcer.host, settings.enforcer.jails) == ("web1", ("sshd", "mail"))
    assert (str(settings.ship.spool), settings.ship.spool_bytes) == ("/srv/state/ship.db", 64 << 20)
    assert (settings.ship.host, settings.ship.labels) == ("web2", {"site": "fra", "tier": "edge"})
    assert settings.ship.key_file == "/etc/banstream/host.key"
    assert settings.enforcer.labels == jail.rules.labels == {"site": "fra"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[ship]\nspool = "12 KB"', 'ship.spool = "12 KB": expected a size such as'),
        (
            '[ship]\nlabels = "fra"',
            'ship.labels = "fra": expected a table of labels such as { site = "fra" }',
        ),
        ("[enforcer]\nlabels = { site = 1 }", 'enforcer.labels = {"site":1}: expected a table of labels'),
        ('[ship]\nspool = "much"', 'ship.spool = "much": expected a size such as'),
        ("[ship]\nspool = true", "ship.spool = true: expected a size such as"),
        ('[ship]\ndirectory = "state"', 'ship.directory = "state": expected an absolute path'),
        ('[ship]\nkey_file = "host.key"', 'ship.key_file = "host.key": expected an absolute path of a file'),
        (f'[ship]\nhost = "{"é" * 129}"', "characters at most, of 256 bytes"),
        ('[log]\nurl = "kafka://host:port"', 'log.url = "kafka://host:port": expected an event log'),
        ('[log]\nurl = "kafka://host?prefx=a"', "expected one of prefix, timeout"),
    ],
)
def test_what_a_fleet_needs_is_checked_too(tmp_path: Path, text: str, problem: str) -> None:
    """Sizes, directories and the url of a Kafka log."""
    assert any(problem in each for each in problems(tmp_path, f'{text}\n[jail.sshd]\nsource = "stdin"\n'))


@pytest.mark.parametrize(
    ("value", "max_bytes"),
    [('"2 GB"', 2 << 30), (0, None), ('"none"', None), (5_000_000_000, 5_000_000_000), (None, 4 << 30)],
)
def test_the_size_of_the_log(tmp_path: Path, value: object, max_bytes: int | None) -> None:
    """A size as elsewhere, or none; 4 GB where nothing is said."""
    file = tmp_path / "banstream.toml"
    line = "" if value is None else f"max_size = {value}"
    file.write_text(f'[log]\n{line}\n[jail.sshd]\nsource = "stdin"\n', encoding="utf-8")
    assert load_settings(str(file)).max_log_bytes == max_bytes


@pytest.mark.parametrize("value", ["true", '"1 MB"', '"-1"', "false"])
def test_a_wrong_size_of_the_log(tmp_path: Path, value: str) -> None:
    """Too small for what is still needed, or no size: what would be right is said."""
    text = f'[log]\nmax_size = {value}\n[jail.sshd]\nsource = "stdin"\n'
    (problem,) = problems(tmp_path, text)
    assert f"log.max_size = {value}: expected a size such as" in problem
    assert problem.endswith('or "none"')


def test_a_log_on_kafka_that_is_not_protected_is_said_aloud(tmp_path: Path) -> None:
    """By `config check`, by `doctor`, and by each role as it starts, before it waits for any broker."""
    up = Service(tmp_path)
    for url in ("kafka://198.51.100.7:1", "kafka://localhost:1?user=x&tls=off&timeout=1s"):
        text = f'[log]\nurl = "{url}"\n[jail.sshd]\nsource = "stdin"\n[ship]\ndirectory = "{tmp_path}"\n'
        up.config.write_text(f'{text}[enforcer]\nbackend = "null"\n', encoding="utf-8")
        up.env["BANSTREAM_KAFKA_PASSWORD"] = "secret"  # noqa: S105 - nobody's
        checked = up.run("config", "check", "--config", str(up.config)).stdout
        assert "WARNING: log.url: kafka://" in checked
        assert "nothing is encrypted" in checked
    for role in ("ship", "decide", "enforce"):
        first, second = first_lines(up, role)
        assert f"Configuration files={up.config} log=" in first
        assert "WARNING The event log is not protected on its way" in second
    found = [each for each in up.json("doctor", code=None) if each["about"] == "event log"]
    assert found[0]["verdict"] == "warning"
    assert len(found) == 2, "and that it cannot be reached"
    assert "x signs in by SCRAM-SHA-512, and nothing is encrypted" in found[0]["found"]


@pytest.mark.parametrize(
    ("url", "said", "require"),
    [
        ("kafka://localhost:1", "", True),
        ("kafka://localhost:1", "require_enrolled = true", True),
        ("kafka://localhost:1", "require_enrolled = false", False),
        ("sqlite:x.db", "", False),
        ("sqlite:x.db", "require_enrolled = false", False),
        ("sqlite:x.db", "require_enrolled = true", True),
    ],
)
def test_who_has_to_be_enrolled_follows_the_log(
    tmp_path: Path, url: str, said: str, *, require: bool
) -> None:
    """On a log that others write everybody, on this machine's own nobody; the file has the last word.

    What is not as the log wants it is said aloud, by `config check` and by `doctor`.
    """
    up = Service(tmp_path)
    up.config.write_text(f'[log]\nurl = "{url}"\n[decider]\n{said}\n[jail.sshd]\nsource = "stdin"\n')
    assert load_settings(str(up.config)).rules().require_enrolled is require
    checked = up.run("config", "check", "--config", str(up.config)).stdout
    warned = "WARNING: decider.require_enrolled is" in checked
    assert warned is (require is not url.startswith("kafka:"))
    found = [each for each in up.json("doctor", code=None) if each["about"] == "who counts"]
    assert [each["verdict"] for each in found] == ["warning"] * warned


def first_lines(up: Service, role: str) -> list[str]:
    """The first two lines that a role says; it is killed then."""
    said = up.folder / role
    with said.open("w") as errors, up.popen(role, "--config", str(up.config), stderr=errors) as process:
        try:
            eventually(lambda: said.read_text().count("\n") >= 2, f"{role} speaks")
        finally:
            process.kill()
    return said.read_text().splitlines()[:2]


def test_up_refuses_a_log_of_a_fleet(tmp_path: Path) -> None:
    """On Kafka the stages run one by one, and `up` says so before it touches anything."""
    up = Service(tmp_path)
    up.config.write_text(
        '[log]\nurl = "kafka://localhost:1"\n[jail.sshd]\nsource = "stdin"\n', encoding="utf-8"
    )
    assert "banstream ship" in up.run("up", "--config", str(up.config), code=2).stderr


def test_files_of_conf_d_win_key_by_key_in_order(tmp_path: Path) -> None:
    """A later file changes what it names and leaves the rest."""
    file = tmp_path / "banstream.toml"
    file.write_text('[jail.sshd]\nsource = "stdin"\nmaxretry = 3\nfindtime = 60\n', encoding="utf-8")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10.toml").write_text("[jail.sshd]\nmaxretry = 4\n", encoding="utf-8")
    (tmp_path / "conf.d" / "20.toml").write_text("[jail.sshd]\nmaxretry = 7\n", encoding="utf-8")
    (jail,) = load_settings(str(file)).jails
    assert (jail.rules.maxretry, jail.rules.findtime_ms) == (7, 60_000)


def test_several_errors_are_all_shown_at_once_each_with_its_file_and_key(tmp_path: Path) -> None:
    """Unknown key, bad duration, bad prefix, unknown filter and a wrong type: five sentences."""
    found = problems(
        tmp_path,
        """
[defaults]
ignoreip = ["192.0.2.1/33"]
[jail.sshd]
filter = "sshdd"
source = "stdin"
maxretri = 3
findtime = "soon"
maxretry = "3"
""",
    )
    *found, unknown = found
    assert unknown.startswith("jail.sshd.maxretri = 3: expected no such key here; known are actions, ")
    assert unknown.endswith("; did you mean maxretry?")
    assert found == [
        (
            'defaults.ignoreip = ["192.0.2.1/33"]: expected addresses and prefixes such as "192.0.2.7" or '
            '"2001:db8::/32", host names, and "file:/path" with such'
        ),
        (
            'jail.sshd.filter = "sshdd": expected a filter: one of `banstream filters list`, a path, auto, '
            "or fail2ban's sshd[mode=aggressive] (no filter is named 'sshdd'; did you mean sshd?; "
            "see `banstream filters list`)"
        ),
        'jail.sshd.findtime = "soon": expected a duration such as "10m", "1d12h" or a number of seconds',
        'jail.sshd.maxretry = "3": expected a whole number from 1 to 10000',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[nosuch]\na = 1\n",
            "no such key here; known are decider, defaults, enforcer, intake, jail, list, log",
        ),
        ("a = [", "not TOML"),
        ("[log]\nurl = 7\n", "log.url = 7: expected a string in quotes"),
        ('[log]\nurl = "nats://x"\n', "log.url"),
        ("log = 3\n", "log = 3: expected a table [log]"),
        ('[jail.web]\nsource = "stdin"\n', "a filter: one of"),
        ('[jail.manual]\nfilter = "sshd"\nsource = "stdin"\n', "other than manual"),
        ('[jail.sshd]\nsource = "ftp:/x"\n', "expected file:/PATH, journald:FIELD=VALUE or stdin"),
        ('[jail.sshd]\nsource = "stdin"\nbantime = "1 fortnight"\n', "or -1 for ever"),
        ('[jail.sshd]\nsource = "stdin"\nfindtime = -1\n', "a duration"),
        ('[jail.sshd]\nsource = "stdin"\nports = [0]\n', "a whole number from 1 to 65535"),
        ('[jail.sshd]\nsource = "stdin"\nstart = "now"\n', "one of recent, beginning, end"),
        ('[enforcer]\nbackend = "iptables"\n', "one of nftables, null"),
        ("[enforcer]\nkeep_on_stop = 1\n", "true or false"),
        (
            '[decider]\nmembership = "zookeeper"\n',
            'decider.membership = "zookeeper": expected one of faust, aiokafka',
        ),
        ('[enforcer]\nnever_ban = ["x"]\n', "an address or prefix"),
        (f'[ship]\nhost = "{"h" * 201}"\n', "expected a host's name of 200 characters at most"),
        (f'[enforcer]\nhost = "{"h" * 201}"\n', "expected a host's name of 200 characters at most"),
        (f"[ship.labels]\n{LABELS}", "expected a table of labels such as"),
        (f'[jail.sshd]\nsource = "file:/{"p" * 251}"\n', "has 257 characters; at most 256"),
        (
            f'[jail.x]\nsource = "stdin"\nfilter = "/{"p" * 251}.toml"\n',
            "has 257 characters; use 256 at most",
        ),
        ('[jail.sshd]\nsource = "stdin"\nfindtime = "1001y"\n', "of a thousand years at most"),
        ('[jail.sshd]\nsource = "stdin"\nmaxretry = 10001\n', "a whole number from 1 to 10000"),
        ("[decider]\nmax_subjects = 100000001\n", "a whole number from 1000 to 100000000"),
        ('[decider]\nlateness = "1001y"\n', "of a thousand years at most"),
    ],
)
def test_a_wrong_value_says_key_value_and_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    """One sentence a problem, with the key and what would be right."""
    assert said in "\n".join(problems(tmp_path, text))


def test_a_missing_file_and_one_that_is_not_text_are_errors(tmp_path: Path) -> None:
    """A file named by --config must be there and be UTF-8."""
    for file in (tmp_path / "nosuch.toml", tmp_path / "latin1.toml"):
        if file.name == "latin1.toml":
            file.write_bytes(b"# \xe9\n")
        with pytest.raises(ConfigError, match=str(file)):
            load_settings(str(file))


def test_an_unreadable_source_is_an_error(tmp_path: Path) -> None:
    """A directory cannot be followed as a log file; the error says what to name instead."""
    assert "a directory; name its files" in "\n".join(
        problems(tmp_path, f'[jail.sshd]\nsource = "file:{tmp_path}"\n')
    )


def test_a_source_that_is_not_there_yet_is_none(tmp_path: Path) -> None:
    """It may appear later: `up` waits for it."""
    file = tmp_path / "banstream.toml"
    file.write_text(f'[jail.sshd]\nsource = "file:{tmp_path}/later/auth.log"\n', encoding="utf-8")
    assert load_settings(str(file)).jails[0].sources == (f"file:{tmp_path}/later/auth.log",)


def test_jails_that_share_a_filter_but_not_a_source_are_told_apart(tmp_path: Path) -> None:
    """Each then selects its events by source; jails on the same source need not."""
    for name in ("a", "b"):
        (tmp_path / name).touch()
    file = tmp_path / "banstream.toml"
    jail = '[jail.{0}]\nfilter = "sshd"\nsource = "file:{1}/{0}"\n'
    file.write_text(jail.format("a", tmp_path) + jail.format("b", tmp_path), encoding="utf-8")
    assert [each.rules.sources for each in load_settings(str(file)).jails] == [
        (f"file:{tmp_path}/a",),
        (f"file:{tmp_path}/b",),
    ]
    file.write_text(jail.format("a", tmp_path), encoding="utf-8")
    assert load_settings(str(file)).jails[0].rules.sources == ()


def test_check_exits_2_and_shows_every_problem(tmp_path: Path) -> None:
    """`config check` says all of it on stderr, a line each; a good one is exit code 0."""
    up = Service(tmp_path)
    up.config.write_text('[jail.sshd]\nsource = "stdin"\nmaxretry = 0\nfoo = 1\n', encoding="utf-8")
    done = up.run("config", "check", "--config", str(up.config), code=2)
    assert done.stderr.count("banstream: ") == 2
    up.config.write_text('[jail.sshd]\nsource = "stdin"\n', encoding="utf-8")
    assert "Good:" in up.run("config", "check", "--config", str(up.config)).stdout


@pytest.mark.parametrize("key", ["", 'key_file = "/etc/banstream/host.key"\n'])
def test_show_gives_toml_that_reads_back_as_the_same(tmp_path: Path, key: str) -> None:
    """What `config show` prints is a configuration with every default filled in."""
    up = Service(tmp_path)
    up.config.write_text(
        '[jail."a b"]\nfilter = "sshd"\nsource = "stdin"\nbantime = -1\ntimezone = "Europe/Berlin"\n'
        f'[ship]\nlabels = {{ site = "fra" }}\n{key}[enforcer]\n{key}',
        encoding="utf-8",
    )
    shown = tmp_path / "shown.toml"
    shown.write_text(up.run("config", "show", "--config", str(up.config)).stdout, encoding="utf-8")
    first, second = load_settings(str(up.config)), load_settings(str(shown))
    assert replace(first, files=()) == replace(second, files=())


def test_a_jail_on_bans_has_neither_filter_nor_source(tmp_path: Path) -> None:
    """And reads back as it is shown."""
    up = Service(tmp_path)
    up.config.write_text(
        '[jail.sshd]\nsource = "stdin"\n[jail.recidive]\non = "bans"\nfindtime = "1d"\n', encoding="utf-8"
    )
    settings = load_settings(str(up.config))
    _, recidive = settings.jails
    assert (recidive.rules.on, recidive.rules.filters, recidive.sources) == ("bans", (), ())
    assert settings_to_watch(str(up.config)).rules() == settings.rules()
    shown = tmp_path / "shown.toml"
    shown.write_text(up.run("config", "show", "--config", str(up.config)).stdout, encoding="utf-8")
    assert load_settings(str(shown)).rules() == settings.rules()
    for line in ('filter = "sshd"', 'source = "stdin"'):
        (problem,) = problems(tmp_path, f'[jail.recidive]\non = "bans"\n{line}\n')
        assert f"jail.recidive.{line.split()[0]}" in problem
        assert 'with on = "bans"' in problem
    (problem,) = problems(tmp_path, '[jail.x]\non = "decisions"\nfilter = "sshd"\nsource = "stdin"\n')
    assert "expected one of events, bans" in problem


def test_how_bans_grow_is_configured(tmp_path: Path) -> None:
    """By [defaults.increment] or a jail's own, which changes it key by key, and can be without."""
    file = tmp_path / "banstream.toml"
    file.write_text(
        """
[defaults.increment]
factor = 2
maxtime = "5w"
[jail.sshd]
source = "stdin"
[jail.dovecot]
source = "stdin"
[jail.dovecot.increment]
multipliers = "1 2 4"
rndtime = "5m"
forget = "10d"
[jail.postfix]
source = "stdin"
increment = { enabled = false }
""",
        encoding="utf-8",
    )
    sshd, dovecot, postfix = (jail.rules.increment for jail in load_settings(str(file)).jails)
    week_ms, minute_ms = 604_800_000, 60_000
    assert sshd == Increment(factor=2, maxtime_ms=5 * week_ms)
    assert dovecot == Increment(
        factor=2,
        multipliers=(1, 2, 4),
        maxtime_ms=5 * week_ms,
        rndtime_ms=5 * minute_ms,
        forget_ms=10 * 1_440 * minute_ms,
    )
    assert postfix is None
    shown = tmp_path / "shown.toml"
    up = Service(tmp_path)
    shown.write_text(up.run("config", "show", "--config", str(file)).stdout, encoding="utf-8")
    assert load_settings(str(shown)).rules() == load_settings(str(file)).rules()
    file.write_text('[jail.sshd]\nsource = "stdin"\n[jail.sshd.increment]\n', encoding="utf-8")
    assert load_settings(str(file)).jails[0].rules.increment == Increment()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("factor = 0", "a number above 0"),
        ('factor = "x"', "a number above 0"),
        ("multipliers = []", "numbers such as [1, 2, 4, 8]"),
        ('multipliers = "1 2 x"', "a number above 0"),
        ("maxtime = -1", "a duration"),
        ('formula = "ban.Tim"', 'a formula such as "ban.Time * '),
        ('overalljails = "yes"', "true or false"),
        ("faktor = 2", "did you mean factor?"),
    ],
)
def test_what_does_not_say_how_bans_grow_is_refused(tmp_path: Path, line: str, said: str) -> None:
    """With the key."""
    (problem,) = problems(tmp_path, f'[jail.sshd]\nsource = "stdin"\n[jail.sshd.increment]\n{line}\n')
    assert f"jail.sshd.increment.{line.split(maxsplit=1)[0]}" in problem
    assert said in problem


def test_thresholds_and_networks_are_configured(tmp_path: Path) -> None:
    """The steps replace the jail's own threshold; `config show` writes what reads back the same."""
    file = tmp_path / "banstream.toml"
    file.write_text(
        """
[defaults]
ipv6_prefix = 56
[defaults.escalate]
addresses = 5
[jail.sshd]
source = "stdin"
maxretry = 9
bantime = "1h"
ipv4_prefix = 28
prolong = true
[[jail.sshd.step]]
maxretry = 4
[[jail.sshd.step]]
maxretry = 20
findtime = "1d"
bantime = -1
[jail.sshd.escalate]
ipv6 = 52
bantime = "2d"
[jail.sshd.increment]
formula = "ban.Time * ban.Count"
overalljails = true
[jail.dovecot]
source = "stdin"
escalate = { enabled = false }
""",
        encoding="utf-8",
    )
    sshd, dovecot = (jail.rules for jail in load_settings(str(file)).jails)
    hour_ms, day_ms = 3_600_000, 86_400_000
    assert sshd.thresholds == (
        Threshold(findtime_ms=600_000, maxretry=4, bantime_ms=hour_ms),
        Threshold(findtime_ms=day_ms, maxretry=20, bantime_ms=None),
    )
    assert (sshd.ipv4_prefix, sshd.ipv6_prefix, sshd.prolong) == (28, 56, True)
    assert sshd.escalate == Escalation(ipv6=52, addresses=5, bantime_ms=2 * day_ms)
    assert (dovecot.ipv6_prefix, dovecot.escalate, dovecot.thresholds[0].maxretry) == (56, None, 5)
    shown = tmp_path / "shown.toml"
    shown.write_text(Service(tmp_path).run("config", "show", "--config", str(file)).stdout, encoding="utf-8")
    assert load_settings(str(shown)).rules() == load_settings(str(file)).rules()


@pytest.mark.parametrize(
    ("lines", "key", "said"),
    [
        ("ipv4_prefix = 16", "ipv4_prefix", "a whole number from 24 to 32"),
        ("ipv6_prefix = 32", "ipv6_prefix", "a whole number from 48 to 128"),
        ("escalate = { addresses = 1 }", "escalate.addresses", "a whole number from 2 to 256"),
        ('distinct = "user"\nprolong = true', "distinct", "none here: different ones are counted on events"),
        ("escalate = { spared = 1 }", "escalate.spared", "one of nothing, parts"),
        ("behaviour = { least = 0 }", "behaviour.least", "a whole number from 1"),
        ("behaviour = { tighten = true }\nprolong = true", "behaviour", "tighten goes with one threshold"),
        ("capacity = 3", "capacity", 'nothing here: it goes with window = "leaky"'),
        ('window = "leaky"\ncapacity = 3', "leakspeed", "capacity and leakspeed go together"),
        (
            'window = "leaky"\ncapacity = 3\nleakspeed = "1s"\nmaxretry = 3',
            "maxretry",
            "capacity and leakspeed say it",
        ),
        ('window = "leaky"\nprolong = true', "prolong", "prolongs nothing"),
        ('window = "leaky"\n[[jail.sshd.step]]\n[[jail.sshd.step]]\nmaxretry = 9', "step", "one threshold"),
        ("step = 3", "step", "tables, each below a [[jail.sshd.step]]"),
        ("[[jail.sshd.step]]\nmaxretri = 3", "step[1].maxretri", "did you mean maxretry?"),
        (
            "[[jail.sshd.step]]\nmaxretry = 3\n[[jail.sshd.step]]\nmaxretry = 3",
            "step[2].maxretry",
            "more than the step before it: 3",
        ),
        ("[[jail.sshd.step]]\n" * 10, "step", "9 at most"),
    ],
)
def test_thresholds_that_are_none_are_refused(tmp_path: Path, lines: str, key: str, said: str) -> None:
    """With the key, and what it should be."""
    found = problems(tmp_path, f'[jail.sshd]\nsource = "stdin"\n{lines}\n')
    assert any(f"jail.sshd.{key} = " in problem and said in problem for problem in found)


def test_show_has_of_a_fleets_roles_what_matters(tmp_path: Path) -> None:
    """On one machine nothing of `ship` and of workers; on a fleet's log all of it, as it reads back."""
    up = Service(tmp_path)
    jail = '[jail.sshd]\nsource = "stdin"\n'
    for url, there in (("sqlite:x.db", False), ("kafka://localhost:1", True)):
        up.config.write_text(f'[log]\nurl = "{url}"\n{jail}', encoding="utf-8")
        said = up.run("config", "show", "--config", str(up.config)).stdout
        assert all((key in said) is there for key in ("[ship]", "membership", "require_enrolled"))
        shown = tmp_path / "shown.toml"
        shown.write_text(said, encoding="utf-8")
        first, second = load_settings(str(up.config)), load_settings(str(shown))
        assert replace(first, files=()) == replace(second, files=())


def test_with_no_file_at_all_sshd_is_protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in jail: filter sshd, 5 within 10 minutes, 10 minutes."""
    monkeypatch.chdir(tmp_path)
    if os.path.exists("/etc/banstream/banstream.toml"):  # noqa: PTH110 - a machine that really runs it
        pytest.skip("this machine has a configuration of its own")
    settings = load_settings(None)
    assert [jail.rules.name for jail in settings.jails] == ["sshd"]
    rules = settings.jails[0].rules
    assert (rules.maxretry, rules.findtime_ms, rules.bantime_ms) == (5, 600_000, 600_000)


def test_up_with_nothing_to_watch_says_so(tmp_path: Path) -> None:
    """No enabled jail, or no source on this machine, is a configuration that protects nobody: exit code 2."""
    up = Service(tmp_path)
    up.config.write_text('[jail.sshd]\nsource = "stdin"\nenabled = false\n', encoding="utf-8")
    assert "no jail is enabled" in up.run("up", "--config", str(up.config), code=2).stderr


def test_a_machine_without_any_log_of_sshd_is_told_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without auth.log, secure and journalctl the built-in jail has nothing to read."""
    monkeypatch.setattr("producers.usual.default_sources", list)
    file = tmp_path / "banstream.toml"
    file.write_text("[jail.sshd]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="name one, such as file:/var/log/"):
        settings_to_watch(str(file))


@pytest.mark.parametrize(
    ("jail", "kinds"),
    [
        ("[jail.nginx-limit-req]", ("probed",)),
        ("[jail.sshd]", ("failed",)),
        ('[jail.web]\nfilter = ["nginx", "nginx-limit-req"]', ("failed", "probed")),
        ('[jail.nginx-limit-req]\nkinds = ["failed"]', ("failed",)),
        ('[defaults]\nkinds = ["succeeded"]\n[jail.nginx-limit-req]', ("succeeded",)),
        ('[jail.rest]\nfilter = "auto"', ("failed",)),
        ('[jail.own]\nfilter = "{folder}/own.toml"', ("probed",)),
    ],
)
def test_a_jail_counts_what_its_filters_are_for(jail: str, kinds: tuple[str, ...], tmp_path: Path) -> None:
    """Unless it, or `[defaults]`, says what counts; a worker's host, which has no filters, says the same."""
    own = tmp_path / "own.toml"
    own.write_text(
        'title = "own"\ncounts = ["probed"]\nbare = true\n[[probed]]\nline = "knock from {ip}"\n'
        '[[sample]]\nline = "knock from 192.0.2.7"\nsays = ["probed", "192.0.2.7"]\n',
        encoding="utf-8",
    )
    file = tmp_path / "c.toml"
    sources = '\nsource = "stdin"\n'
    file.write_text(jail.format(folder=tmp_path) + sources, encoding="utf-8")
    depths: tuple[CheckDepth, ...] = ("sources", "names")
    for check in depths:
        (settings,) = load_settings(str(file), check=check).jails
        assert settings.rules.kinds == kinds


def test_a_filter_counts_kinds_that_there_are(tmp_path: Path) -> None:
    """A misspelt kind is refused, with the file and the key."""
    own = tmp_path / "own.toml"
    own.write_text(
        'title = "own"\ncounts = ["probe"]\n[[probed]]\nline = "knock from {ip}"\n', encoding="utf-8"
    )
    with pytest.raises(
        ConfigError, match=r"own\.toml: counts: expected some of failed, probed, request, succeeded"
    ):
        load_filter(str(own))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", "+01:00", "UTC"])
def test_a_source_has_a_zone(tmp_path: Path, zone: str) -> None:
    """By a jail's key or by [defaults]; what is watched carries it."""
    file = tmp_path / "banstream.toml"
    file.write_text(f'[defaults]\ntimezone = "{zone}"\n[jail.sshd]\nsource = "stdin"\n', encoding="utf-8")
    (watch,) = watches(load_settings(str(file)).jails, {})
    assert watch.timezone == zone


def test_a_zone_that_is_none_is_refused(tmp_path: Path) -> None:
    """With what would be one."""
    (found,) = problems(tmp_path, '[jail.sshd]\nsource = "stdin"\ntimezone = "Mars/Olympus"\n')
    assert 'a zone such as "Europe/Berlin", "+02:00" or POSIX' in found


def test_a_source_is_of_one_zone(tmp_path: Path) -> None:
    """Two jails on it must say the same."""
    (found,) = problems(
        tmp_path,
        """
[jail.sshd]
source = "stdin"
timezone = "Europe/Berlin"
[jail.dropbear]
source = "stdin"
""",
    )
    assert "jail.dropbear.timezone" in found
    assert "the zone of [jail.sshd], which reads stdin too: Europe/Berlin" in found


def test_a_layout_is_of_a_source(tmp_path: Path) -> None:
    """What is watched carries it; jails that read one source say the same; one that is none is refused."""
    jail = f'[jail.{{}}]\nsource = "file:{tmp_path}/access.log"\nlayout = "{{}}"\n'
    file = tmp_path / "good.toml"
    file.write_text(jail.format("wordpress", "nginx-proxy"), encoding="utf-8")
    settings = load_settings(str(file))
    (watch,) = watches(settings.jails, {})
    assert watch.layout == "nginx-proxy"
    assert form_of_file(f"{tmp_path}/access.log.1", settings.jails) == (None, "nginx-proxy")
    (found,) = problems(tmp_path, jail.format("wordpress", "apache"))
    assert "expected one of nginx-proxy" in found
    two = jail.format("wordpress", "nginx-proxy") + jail.format("web-auth", "x").replace('layout = "x"\n', "")
    file.write_text(two, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"the layout of \[jail\.wordpress\], which reads"):
        load_settings(str(file))


def test_replay_takes_a_jails_layout(tmp_path: Path) -> None:
    """A file that a jail reads, or what it was rotated from, begins its lines as the jail says."""
    up = Service(tmp_path)
    log = tmp_path / "access.log"
    line = '198.51.100.8 203.0.113.9 - - [22/Nov/2026:09:00:0{} +0000] "POST /wp-login.php HTTP/1.1" 200 1\n'
    log.write_text("".join(line.format(number) for number in range(5)), encoding="ascii")
    for layout, banned in (("", []), ('layout = "nginx-proxy"\n', ["203.0.113.9"])):
        up.config.write_text(f'[jail.wordpress]\nsource = "file:{log}"\n{layout}', encoding="utf-8")
        done = up.run("replay", "--json", "--config", str(up.config), str(log), code=None)
        bans = [orjson.loads(each) for each in done.stdout.splitlines()]
        assert [each["prefix"] for each in bans if each["kind"] == "ban"] == banned
