"""fail2ban's configuration becomes one of ours: what holds is what fail2ban itself says of the same files."""

from __future__ import annotations

import sqlite3
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from banstream.config import Settings, load_settings
from banstream.importing.actions import acts_of
from banstream.importing.drafts import Draft, JailDraft
from banstream.importing.filters import NATIVE
from banstream.importing.held import read_held
from banstream.importing.spans import seconds
from producers.filters import load_filter, load_native
from producers.filters.rows import Filter
from producers.filters.samples import CLOCK, OWN, written
from producers.stamps import Stamps
from schemas.errors import ConfigError
from schemas.records import Command
from schemas.topics import COMMANDS
from tests.banstream.importing.oracle import Server, dumped, spans, stock
from tests.banstream.service import Service, eventually
from tests.namespaces import fleet
from tests.producers.filters.fail2ban.oracle import FILTERS

TIMES = [
    "600",
    "10m",
    "1d12h",
    "1d 12h",
    "60*60*24",
    "1w - 1d",
    "1y 6mo",
    "-1",
    "1h+30min",
    "0.5h",
    "3 * 1h",
    "5hours",
]
READ_ALIKE: dict[str, str] = {
    "sshd": "of one attempt's lines one counts",
    "dovecot": "of one attempt's lines one counts",
    "proftpd": "the end of a session after its attempts is none more",
    "nginx-http-auth": "a user's name that reads like another message forges no failure",
    "pam-generic": "a user's name that reads like an address forges none",
    "sogo-auth": "a header of two addresses names nobody",
}
"""Where fail2ban takes more lines than the native filter, and why."""


def imported(folder: Path, tmp_path: Path, *options: str, code: int = 0) -> tuple[Settings, str]:
    """The configuration that a folder of fail2ban's becomes, and the report."""
    service, file = Service(tmp_path), tmp_path / "made.toml"
    done = service.run("import", "fail2ban", str(folder), "--write", str(file), *options, code=code)
    return load_settings(str(file)), done.stdout


def report(folder: Path, tmp_path: Path, *options: str, code: int = 0) -> list[dict[str, Any]]:
    """The report, as objects."""
    return Service(tmp_path).json("import", "fail2ban", str(folder), *options, code=code)


@pytest.mark.real("fail2ban")
@pytest.mark.parametrize("enabled", ["false", "true"])
def test_every_jail_of_debians_package_is_taken_over(enabled: str, tmp_path: Path) -> None:
    """Each is a jail here that `config check` finds good, whether it is enabled or asked for by --all.

    But one lets in; the command that spares search engines comes along.
    """
    folder = stock(tmp_path, jail_local=f"[DEFAULT]\nenabled = {enabled}\n")
    on = enabled == "true"
    settings, said = imported(folder, tmp_path, *([] if on else ["--all"]))
    jails = {jail.rules.name: jail.rules for jail in settings.jails}
    assert len(jails) >= 90
    assert "[pass2allow-ftp] action: it lets in whom it finds, and bans nobody" in said
    assert not [line for line in said.splitlines() if line.startswith("LOST ")]
    program, *arguments = jails["apache-fakegooglebot"].ignorecommand
    assert program.endswith("/filter.d/ignorecommands/apache-fakegooglebot")
    assert arguments == ["<ip>"]
    assert Service(tmp_path).run("config", "check", "--config", str(tmp_path / "made.toml")).returncode == 0
    assert (tmp_path / "made.toml").stat().st_mode & 0o777 == 0o640


@pytest.mark.real("fail2ban")
def test_jails_are_what_fail2ban_says_they_are(tmp_path: Path) -> None:
    """Files in their order, includes, references and lists: the same jails, thresholds and logs."""
    logs = [tmp_path / name for name in ("auth.log", "a.log", "b.log")]
    for log in logs:
        log.touch()
    folder = stock(
        tmp_path,
        jail_local="[INCLUDES]\nafter = more.conf\n[DEFAULT]\nbantime = 1h\n"
        "ignoreip = 192.0.2.0/24,2001:db8::1\n"
        f"maxretry = 7\nmine = {tmp_path}/[ab].log\n"
        f"[sshd]\nenabled = true\nmaxretry = 4\nlogpath = {logs[0]}\n          {logs[1]} tail\n"
        f"[vsftpd]\nenabled = yes\nlogpath = %(mine)s\nbantime = 60*60*3\n"
        "[dovecot]\nenabled = false\n",
        jail_d__x_conf="[sshd]\nmaxretry = 9\n[dovecot]\nenabled = true\n",
        jail_d__y_local=f"[sshd]\nfindtime = 2d\n[proftpd]\nenabled = 1\nlogpath = {logs[2]}\n",
        more_conf="[vsftpd]\nfindtime = %(known/findtime)s\nmaxretry = %(default/maxretry)s\n",
    )
    theirs, (settings, _) = dumped(folder), imported(folder, tmp_path)
    ours = {jail.rules.name: jail for jail in settings.jails}
    assert ours.keys() == theirs.keys() == {"sshd", "vsftpd", "proftpd"}
    for name, jail in ours.items():
        told = theirs[name]
        assert jail.rules.maxretry == told["maxretry"][-1]
        assert jail.rules.findtime_ms == seconds(str(told["findtime"][-1])) * 1_000
        assert jail.rules.bantime_ms == seconds(str(told["bantime"][-1])) * 1_000
        assert jail.rules.ignoreip == ("127.0.0.0/8", "::1", "192.0.2.0/24", "2001:db8::1")
        read = {
            str(path) for source in jail.sources for path in Path("/").glob(source.removeprefix("file:/"))
        }
        assert read == {path for path in told["addlogpath"] if path.startswith("/")}


@pytest.mark.real("fail2ban")
def test_times_are_fail2bans() -> None:
    """Abbreviations, sums and products mean what its own code reads in them."""
    assert [seconds(each) for each in TIMES] == pytest.approx(spans(TIMES))


@pytest.mark.parametrize(
    "text", ["", "10 parsecs", "__import__('os')", "1 if 1 else 2", "9**9", "(" * 100, "1/0"]
)
def test_what_is_no_time_is_refused_and_never_evaluated(text: str) -> None:
    """It is an error that says what is expected."""
    with pytest.raises(ValueError, match="a time such as"):
        seconds(text)


@pytest.mark.real("fail2ban")
@pytest.mark.parametrize("key", NATIVE, ids="|".join)
def test_a_native_filter_stands_for_one_that_reads_the_same(key: tuple[str, str]) -> None:
    """What fail2ban's filter finds in the native one's samples, the native one finds, too."""
    stem, options = key
    native, theirs = load_native(NATIVE[key]), load_filter(f"{FILTERS}/{stem}.conf[{options}]")
    both = 0
    for sample in native.samples:
        forms = written(native, sample)
        text = forms[OWN] if sample.whole or not native.programs else forms["rfc 3164"]
        text = text.replace("postfix[4711]", "postfix/smtpd[4711]")
        found, counted = (
            addresses(theirs, text, ("failed",)),
            addresses(native, text, native.definition.counts),
        )
        both += bool(found & counted)
        assert found <= counted or stem in READ_ALIKE, text
    assert both


def addresses(filter_: Filter, text: str, kinds: tuple[str, ...]) -> set[str]:
    """Whom a filter finds in lines of their own stream."""
    rows = filter_.matcher(Stamps(UTC)).scan(f"{text}\n".encode(), CLOCK)
    return {row[2] for row in rows if row[0] in kinds}


@pytest.mark.parametrize(
    ("action", "ports", "others"),
    [
        ('iptables-multiport[port="ssh,8000", protocol="tcp"]', ["ssh", 8000], []),
        (
            'nftables[type=multiport, port="ssh"]\nsendmail-whois[dest="a, b@c", port="x"]',
            ["ssh"],
            [],
        ),
        ('nftables[port="ssh"]\nsendmail[dest="$(id)"]', ["ssh"], ["sendmail"]),
        ('iptables-allports[port="ssh"]', [], []),
        ('nftables[type=allports][port="ssh"]', [], []),
        ('iptables[name=x, port="0:65535"]', [], []),
        ('ufw[port="ssh"]', [], []),
        ('firewallcmd-ipset[port="6000-6010"]', ["6000:6010"], []),
        ('iptables-new[port="ssh,nosuchservice"]', ["ssh"], []),
        ("abuseipdb, mine [x=1]", [], ["abuseipdb", "mine"]),
    ],
)
def test_actions_come_to_ports_and_a_rest(action: str, ports: list[object], others: list[str]) -> None:
    """A firewall's name its ports, or none for all; what is no firewall's is told by its name."""
    acts = acts_of(action)
    assert acts.ports == ports
    assert [each.split(" ", maxsplit=1)[0] for each in acts.others] == others
    assert acts.firewall == (len(others) != 2)


def test_actions_that_send_mail_are_a_sink_that_the_jail_names() -> None:
    """One for the same recipients; one that no jail names is none."""
    assert acts_of('sendmail-whois[dest="a, b@c", port="x"]\nmail[dest="b@c"]').mails == ["a", "b@c"]
    draft = Draft([], {}, [JailDraft("sshd", {})])
    names = [draft.mail_sink(each) for each in (["a", "b@c"], ["root"], ["a", "b@c"])]
    assert names == ["mail", "mail-2", "mail"]
    draft.jails[0].keys["actions"] = ["mail"]
    assert '[sink.mail]\nto = "mail:a,b@c"\n' in draft.text()
    assert "mail-2" not in draft.text()
    assert tomllib.loads(draft.text())["jail"]["sshd"]["actions"] == ["mail"]


@pytest.mark.real("fail2ban")
def test_options_and_changed_filters_keep_the_installed_one(tmp_path: Path) -> None:
    """A mode that the library's knows not, a `.local` beside it, a failregex in the jail: fail2ban's own."""
    folder = stock(
        tmp_path,
        jail_local="[DEFAULT]\nenabled = false\n[sshd]\nenabled = true\nmode = aggressive\n"
        "[dovecot]\nenabled = true\n"
        "[vsftpd]\nenabled = true\nfailregex = mine, <HOST>$\n",
        filter_d__dovecot_local="[Definition]\nprefregex =\nfailregex = ours <HOST>$\n",
    )
    settings, said = imported(folder, tmp_path)
    named = {jail.rules.name: jail.rules.filters[0] for jail in settings.jails}
    assert named["sshd"] == f"{folder}/filter.d/sshd.conf[mode=aggressive]"
    assert named["dovecot"] == f"{folder}/filter.d/dovecot.conf"
    assert load_filter(named["dovecot"]).matcher().scan(b"2026-11-22 09:00:00 ours 192.0.2.7\n", CLOCK)
    assert load_filter(named["vsftpd"]).matcher().scan(b"2026-11-22 09:00:00 mine, 192.0.2.7\n", CLOCK)
    assert "since dovecot.local changes it" in said


@pytest.mark.real("fail2ban")
def test_what_would_not_ban_any_more_is_said_with_exit_code_1(tmp_path: Path) -> None:
    """A filter that is not there, one that cannot be read: the jail is left out, with file and line."""
    folder = stock(
        tmp_path,
        jail_local="[sshd]\nenabled = true\n[a]\nenabled = true\nfilter = nosuch\nlogpath = /x\n"
        "[b]\nenabled = true\nfilter = b\nlogpath = /x\n"
        "[vsftpd]\nenabled = true\nfailregex = %(known/failregex)s\n  ^mine, <HOST>\n",
        filter_d__b_conf="[Definition]\nfailregex = (<HOST>\n",
    )
    found = report(folder, tmp_path, code=1)
    lost = {each["jail"]: each for each in found if each.get("verdict") == "lost"}
    assert lost.keys() == {"a", "b", "vsftpd"}
    assert "set it under [Definition] of filter.d/vsftpd.local" in lost["vsftpd"]["said"]
    assert (lost["a"]["file"], lost["a"]["line"]) == (str(folder / "jail.local"), 5)
    assert "no such filter file" in lost["a"]["said"]
    assert "filter.d/b.conf" in lost["b"]["said"]
    assert found[-1]["jails"] == 2
    assert found[-1]["lost"] == 3


@pytest.mark.real("fail2ban")
def test_a_jail_that_is_refused_takes_no_other_with_it(tmp_path: Path) -> None:
    """One whose name begins as the other's stays."""
    folder = stock(
        tmp_path,
        jail_local="[sshd]\nenabled = true\n[sshd.b]\nenabled = true\nfilter = b\nlogpath = /x\n",
        filter_d__b_conf="[Definition]\nfailregex = (<HOST>\n",
    )
    settings, said = imported(folder, tmp_path, code=1)
    assert [jail.rules.name for jail in settings.jails] == ["sshd"]
    assert "[sshd.b] filter: " in said
    (folder / "jail.local").write_text("[sshd]\nfilter = b\n", encoding="utf-8")
    done = Service(tmp_path).run("import", "fail2ban", str(folder), code=2)
    assert "no jail is enabled that could be translated" in done.stderr
    assert not done.stdout


@pytest.mark.real("fail2ban")
def test_growing_bans_recidive_and_for_ever(tmp_path: Path) -> None:
    """bantime.increment is a table, recidive counts bans, -1 is for ever; dbpurgeage is `forget`."""
    folder = stock(
        tmp_path,
        jail_local="[DEFAULT]\nbantime.increment = true\nbantime.maxtime = 5w\nbantime.rndtime = 10m\n"
        "[sshd]\nenabled = true\nbantime.multipliers = 1 5 30\nbantime.factor = 2\n"
        "[vsftpd]\nenabled = true\nbantime.overalljails = true\n"
        "bantime.formula = ban.Time * math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)\n"
        "[dovecot]\nenabled = true\nbantime.increment = false\nbantime = -1\n"
        "[recidive]\nenabled = true\n",
        fail2ban_local="[DEFAULT]\ndbpurgeage = 9d\n",
    )
    settings, _ = imported(folder, tmp_path)
    jails = {jail.rules.name: jail.rules for jail in settings.jails}
    grown = jails["sshd"].increment
    assert grown is not None
    assert (grown.factor, grown.multipliers) == (2, (1, 5, 30))
    assert (grown.maxtime_ms, grown.rndtime_ms, grown.forget_ms) == (3_024_000_000, 600_000, 777_600_000)
    other = jails["vsftpd"].increment
    assert other is not None
    assert other.overalljails
    assert other.formula.startswith("ban.Time * math.exp(")
    assert jails["sshd"].window == "fail2ban"
    assert jails["dovecot"].increment is None
    assert jails["dovecot"].bantime_ms is None
    assert (jails["recidive"].on, jails["recidive"].bantime_ms) == ("bans", 604_800_000)


@pytest.mark.real("fail2ban")
def test_a_file_is_overwritten_only_when_asked(tmp_path: Path) -> None:
    """And what the report shows of the files cannot steer a terminal."""
    steering = "\x1b[31m\u009b\u202e"
    jail = f"[sshd]\nenabled = true\nignoreip = {steering}\nlogpath = /var/log/{steering}\n"
    folder = stock(tmp_path, jail_local=jail)
    settings, said = imported(folder, tmp_path)
    assert settings.jails[0].sources == (f"file:/var/log/{steering}",)
    assert not set(steering[:1] + steering[-2:]) & set(said + (tmp_path / "made.toml").read_text("utf-8"))
    done = Service(tmp_path).run(
        "import", "fail2ban", str(folder), "--write", str(tmp_path / "made.toml"), code=2
    )
    assert "is there already; name another, or say --force" in done.stderr
    imported(folder, tmp_path, "--force")


@pytest.mark.real("fail2ban")
def test_files_that_others_may_write_are_not_believed(tmp_path: Path) -> None:
    """Whoever may write to one would say whom to ban."""
    folder = stock(tmp_path, jail_local="[sshd]\nenabled = true\n")
    (folder / "jail.local").chmod(0o666)
    done = Service(tmp_path).run("import", "fail2ban", str(folder), code=2)
    assert "jail.local: not read, since it cannot be trusted" in done.stderr


def test_a_folder_without_fail2bans_files_is_refused(tmp_path: Path) -> None:
    """With what is missing, and what to name."""
    done = Service(tmp_path).run("import", "fail2ban", str(tmp_path), code=2)
    assert "neither a jail.conf nor a jail.local" in done.stderr


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """fail2ban itself, with two jails, running."""
    (tmp_path / "mail.log").touch()
    jail = f"enabled = true\nlogpath = {tmp_path}/mail.log\n"
    made = Server(tmp_path, f"[sshd]\n{jail}[dovecot]\n{jail}bantime = -1\n[vsftpd]\n{jail}")
    yield made
    made.close()


@pytest.mark.real("fail2ban")
def test_bans_in_force_come_along_once_while_fail2ban_runs(server: Server, tmp_path: Path) -> None:
    """Each is a ban of its jail for what is left of it; a second import gives none again."""
    server.ask("set", "sshd", "banip", "192.0.2.7", "2001:db8::7", "no address")
    server.ask("set", "dovecot", "banip", "192.0.2.7")
    server.ask("set", "vsftpd", "banip", "192.0.2.9")
    service = Service(tmp_path)
    service.configure('[jail.dovecot]\nsource = "stdin"')
    eventually(
        lambda: len(list(read_held(server.database, time.time()).bans)) == 4, "fail2ban wrote its bans"
    )
    asked = ("import", "fail2ban", str(server.config), "--bans")
    *remarks, told = service.json(*asked, code=1)
    assert [each["jail"] for each in remarks if each["verdict"] == "lost"] == ["vsftpd"]
    assert told["bans"][0].startswith("4 bans in force in ")
    assert "3 commands given to sqlite:///" in told["bans"][0]
    assert any("1 row that is no ban of an address" in each for each in told["bans"])
    commands = [each for each in service.kept(COMMANDS) if isinstance(each, Command)]
    assert {(each.verb, each.who) for each in commands} == {("ban", "import fail2ban")}
    given = {(each.jail, each.prefix): each.duration_ms for each in commands}
    assert given.keys() == {("sshd", "192.0.2.7"), ("sshd", "2001:db8::7"), ("dovecot", "192.0.2.7")}
    assert given["dovecot", "192.0.2.7"] is None
    assert 500_000 < (given["sshd", "192.0.2.7"] or 0) <= 600_000
    again = service.json(*asked, code=1)[-1]
    assert "0 commands given" in again["bans"][0]
    assert "3 were given by an import before" in again["bans"][0]
    assert sum(isinstance(each, Command) for each in service.kept(COMMANDS)) == 3
    server.ask("status", "sshd")


def test_a_database_is_not_believed(tmp_path: Path) -> None:
    """A view that never ends, rows of other types, ends far in the future: refused, passed over, bounded."""
    file = tmp_path / "f.sqlite3"
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE bips(ip, jail, timeofban, bantime, bancount)")
        rows = [
            ("192.0.2.7", "sshd", 1_000, 600, 3),
            ("192.0.2.8", "sshd", 1 << 60, 600, 1),
            ("192.0.2.9", "sshd", "now", 600, 1),
            (b"192.0.2.9", "sshd", 1_000, 600, 1),
            ("192.0.2.9; DROP", "sshd", 1_000, 600, 1),
            ("x" * 100_000, "sshd", 1_000, 600, 1),
            ("192.0.2.10", "sshd", 1, 600, 1),
        ]
        made.executemany("INSERT INTO bips VALUES (?, ?, ?, ?, ?)", rows)
        made.commit()
    found = read_held(file, 1_100)
    assert [(each.prefix, each.left_ms) for each in found.bans] == [
        ("192.0.2.7", 500_000),
        ("192.0.2.8", 600_000),
    ]
    assert (len(found.over), found.odd) == (1, 3)
    with closing(sqlite3.connect(file)) as made:
        made.execute("DROP TABLE bips")
        made.execute(
            "CREATE VIEW bips AS WITH RECURSIVE n(ip) AS "
            "(SELECT 1 UNION ALL SELECT ip FROM n) SELECT * FROM n"
        )
    with pytest.raises(ConfigError, match="no database of fail2ban's"):
        read_held(file, 1_100)
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="cannot be trusted"):
        read_held(file, 1_100)
    with pytest.raises(ConfigError, match="name it with --database"):
        read_held(tmp_path / "none", 1_100)


@pytest.mark.real("fail2ban", "nftables")
def test_what_fail2ban_banned_is_kept_out_by_banstream(server: Server, tmp_path: Path) -> None:
    """From its jail files and its database to packets: the same address, on the same ports."""
    server.ask("set", "sshd", "banip", "203.0.113.9")
    eventually(lambda: read_held(server.database, time.time()).bans, "fail2ban wrote its ban")
    with closing(sqlite3.connect(server.database)) as database:
        database.execute("UPDATE bips SET bancount = 4")
        database.execute(
            "INSERT INTO bips (ip, jail, timeofban, bantime, bancount) "
            "VALUES ('203.0.113.8', 'sshd', 1000, 60, 2)"
        )
        database.commit()
    made = tmp_path / "here"
    made.mkdir()
    more = made / "conf.d"
    more.mkdir()
    (more / "log.toml").write_text(f'[log]\nurl = "sqlite://{made}/state/log.db"\n', encoding="utf-8")
    folder = stock(made, jail_local="[sshd]\nenabled = true\n")
    asked = ("import", "fail2ban", str(folder), "--bans", "--database", str(server.database))
    with fleet("server", "attacker") as net:
        service, attacker = Service(made, host=net["server"]), net["attacker"]
        attacker.add("203.0.113.9")
        service.run(*asked, "--write", str(service.config))
        service.start()
        ask = partial(attacker.reaches, net["server"].ip4, port=22, source="203.0.113.9")
        eventually(lambda: not ask(), "the ban is in force")
        assert attacker.reaches(net["server"].ip4, port=80, source="203.0.113.9")
        (ban,) = service.json("bans")
        assert ban["holds"][0]["who"] == "import fail2ban"
        remembered = [each for each in service.kept(COMMANDS) if isinstance(each, Command) and each.bans]
        assert [(each.prefix, each.bans, each.since_ms) for each in remembered] == [
            ("203.0.113.9", 4, None),
            ("203.0.113.8", 2, 1_060_000),
        ]
        service.stop()


@pytest.mark.real("fail2ban")
@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("/bin/true <ip>", ["/bin/true", "<ip>"]),
        ("/bin/true --for '<HOST>'", ["/bin/true", "--for", "<ip>"]),
        ("/bin/true <ip> | grep -q ours", "run without a shell"),
        ("/bin/true $(cat /x) <ip>", "run without a shell"),
        ("/bin/true <ip> <F-USER>", "given the address alone here, and not <F-USER>"),
        ("/bin/true", "<ip> where the address is to stand"),
        ("true <ip>", "an absolute path first"),
    ],
)
def test_an_ignorecommand_is_taken_over_where_it_needs_no_shell(
    text: str, arguments: list[str] | str, tmp_path: Path
) -> None:
    """Else the jail is off, since it would ban those whom the command spared, and that is a loss."""
    jail = f"[sshd]\nenabled = true\nignorecommand = {text}\n"
    good = isinstance(arguments, list)
    settings, said = imported(stock(tmp_path, jail_local=jail), tmp_path, code=int(not good))
    commands = [list(each.rules.ignorecommand) for each in settings.jails if each.rules.name == "sshd"]
    assert commands == ([arguments] if good else [])
    if isinstance(arguments, str):
        (lost,) = [line for line in said.splitlines() if line.startswith("LOST ")]
        assert arguments in lost
