"""What is legal in a configuration and surely not meant is warned of by `config check`."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from banstream.config import load_settings
from banstream.doubts import doubts
from tests.banstream.service import Service


def found(tmp_path: Path, text: str) -> list[str]:
    """The doubts about a configuration, in which {folder} is a folder of its own."""
    file = tmp_path / "banstream.toml"
    log = f'[log]\nurl = "sqlite:{tmp_path}/log.db"\n' if "[log]" not in text else ""
    file.write_text(log + text.replace("{folder}", str(tmp_path)), encoding="utf-8")
    return list(doubts(load_settings(str(file))))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[jail.sshd]\nsource = "file:{folder}/no.log"',
            "jail.sshd.source: {folder}/no.log: no such file yet",
        ),
        ('[jail.sshd]\nsource = "stdin"\nenabled = false', "jail: every jail has enabled = false"),
        ('[jail.nginx]\nsource = "file:{folder}/*.log"', "finds nothing in access.log"),
        ('[jail.recidive]\non = "bans"', "none whose bans it could count"),
        ('[jail.web-auth]\nsource = "file:{folder}/error.log"', "finds nothing in error.log"),
        ('[jail.sshd]\nsource = "stdin"\nignoreip = "0.0.0.0/0"', "hardly anybody can be banned"),
        ('[jail.sshd]\nsource = "stdin"\nignoreip = "file:{folder}/no"', "/no: it is not there: nobody is"),
        (
            '[list.x]\nfrom = "file:{folder}/wrong"\n[jail.sshd]\nsource = "stdin"',
            "/wrong: line 2: '10.0.0.300' is no address or prefix; it is left out",
        ),
        ('[jail.sshd]\nsource = "stdin"\nkinds = ["succeeded"]', "users are banned for logging in"),
        ('[jail.sshd]\nsource = "stdin"\nfindtime = 3', '"10m" ten minutes'),
        ('[enforcer]\nbackend = "null"\n[jail.sshd]\nsource = "stdin"', "nobody is kept out"),
        ('[enforcer]\njails = ["ssh"]\n[jail.sshd]\nsource = "stdin"', "there is no jail ssh"),
        (
            '[log]\nurl = "sqlite:///nonexistent/dir/log.db"\n[jail.sshd]\nsource = "stdin"',
            "log.url: /nonexistent/dir: no such folder",
        ),
    ],
)
def test_each_is_one_sentence_with_its_key(text: str, said: str, tmp_path: Path) -> None:
    """With what to do about it."""
    for name in ("access.log", "error.log"):
        (tmp_path / name).touch()
    (tmp_path / "wrong").write_text("192.0.2.1\n10.0.0.300\n")
    (sentence,) = found(tmp_path, text)
    assert said.replace("{folder}", str(tmp_path)) in sentence


@pytest.mark.parametrize(
    "text",
    [
        '[jail.sshd]\nsource = "stdin"\nignoreip = "10.0.0.0/8 fc00::/7 fe80::/10 127.0.0.1/8"',
        '[jail.nginx]\nsource = "file:{folder}/error.log"',
        '[jail.web-scan]\nsource = "file:{folder}/access.log"',
        '[jail.wordpress]\nsource = ["file:{folder}/access.log", "file:{folder}/auth.log"]',
        '[jail.all]\nfilter = "auto"\nsource = "file:{folder}/*.log"',
        '[jail.sshd]\nsource = "journald:file={folder}/x.journal _COMM=sshd"',
    ],
)
def test_what_is_meant_is_no_doubt(text: str, tmp_path: Path) -> None:
    """An ordinary configuration has none."""
    for name in ("access.log", "error.log", "auth.log"):
        (tmp_path / name).touch()
    assert found(tmp_path, text) == []


def test_config_check_says_them_and_succeeds(tmp_path: Path) -> None:
    """As warnings for people, as a list in JSON; what is wrong is JSON as well."""
    up = Service(tmp_path)
    up.config.write_text(f'[jail.sshd]\nsource = "file:{tmp_path}/no.log"\n', encoding="utf-8")
    done = up.run("config", "check", "--config", str(up.config))
    assert done.stdout.startswith(f"Good: {up.config}; 1 jail, rules ")
    assert "WARNING: jail.sshd.source: " in done.stdout
    (facts,) = up.json("config", "check")
    assert facts["good"] is True
    assert len(facts["warnings"]) == 1
    up.config.write_text('[jail.sshd]\nsource = "stdin"\nfoo = 1\n', encoding="utf-8")
    done = up.run("config", "check", "--json", "--config", str(up.config), code=2)
    facts = orjson.loads(done.stdout)
    assert facts["good"] is False
    assert "jail.sshd.foo" in facts["problems"][0]


def test_filters_are_searched(tmp_path: Path) -> None:
    """By any word of their name, title, programs and places; nothing found is exit code 1."""
    up = Service(tmp_path)
    names = [
        orjson.loads(line)["name"]
        for line in up.run("filters", "list", "openssh", "--json").stdout.splitlines()
    ]
    assert "sshd" in names
    assert "nginx" not in names
    both = up.run("filters", "list", "nginx", "access").stdout
    assert "web-auth" in both
    assert "nginx-forbidden" not in both
    assert "No filter has nosuch" in up.run("filters", "list", "nosuch", code=1).stderr


def test_a_filters_name_is_completed(tmp_path: Path) -> None:
    """After --filter; what begins no name is a file."""
    up = Service(tmp_path)
    up.env |= {"_BANSTREAM_COMPLETE": "bash_complete", "COMP_CWORD": "3"}
    up.env["COMP_WORDS"] = "banstream match --filter ngi"
    assert "plain,nginx-limit-req" in up.run().stdout.splitlines()
    up.env["COMP_WORDS"] = "banstream match --filter ./x"
    assert up.run().stdout.splitlines() == ["file,./x"]


def test_filters_are_tested_in_json(tmp_path: Path) -> None:
    """An object a filter."""
    (facts,) = map(
        orjson.loads, Service(tmp_path).run("filters", "test", "sshd", "--json").stdout.splitlines()
    )
    assert facts["filter"] == "sshd"
    assert facts["lines"] > 50
    assert facts["wrong"] == []


def test_a_decoy_who_can_log_in_is_doubted(tmp_path: Path) -> None:
    """Of sshd's alone; who has no shell, or is nobody, may be one."""
    jail = '[jail.{}]\nsource = "stdin"\ndecoy_users = ["root", "daemon", "oracle-nobody"]\n'
    (said,) = [each for each in found(tmp_path, jail.format("sshd")) if "decoy" in each]
    assert (
        said == "jail.sshd.decoy_users: root is a user of this machine, and is banned by one wrong password"
    )
    assert not [each for each in found(tmp_path, jail.format("dovecot")) if "decoy" in each]
