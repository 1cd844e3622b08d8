"""What fail2ban and CrowdSec call things is answered with what it is called here."""

from __future__ import annotations

from pathlib import Path

import pytest

from banstream.config import load_settings
from schemas.errors import ConfigError

JAIL = '[jail.sshd]\nsource = "stdin"\n'


def problems(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a configuration."""
    file = tmp_path / "banstream.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_settings(str(file))
    return list(refused.value.problems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (JAIL + 'logpath = "/var/log/auth.log"', 'here it is source = "file:/var/log/auth.log"'),
        (JAIL + 'filenames = ["/var/log/auth.log"]', 'here it is source = "file:/var/log/auth.log"'),
        (JAIL + 'port = "ssh"', 'here it is ports = ["ssh"]'),
        (JAIL + 'backend = "systemd"', 'or source = "journald:_SYSTEMD_UNIT=ssh.service"'),
        (JAIL + 'action = "mail"', "with [sink.NAME]"),
        (JAIL + 'destemail = "me"', 'to = "mail:..."'),
        (JAIL + "leakspeed = 10", 'it goes with window = "leaky"'),
        (JAIL + "bantime.increment = true", "one duration; how bans grow is [jail.NAME.increment]"),
        (JAIL + "maxretries = 3", "did you mean maxretry?"),
        ('[defaults]\nlogpath = "/x"\n' + JAIL, "defaults.logpath"),
        ("[DEFAULT]\nbantime = 60\n" + JAIL, "here it is [defaults]"),
        ("[sshd]\nenabled = true\n" + JAIL, "here it is [jail.sshd]"),
        ("[log]\ndbpurgeage = 1\n" + JAIL, "here it is max_size of [log]"),
        ('[enforcer]\nbanaction = "nftables"\n' + JAIL, 'here it is backend = "nftables"'),
        ("[enforcer]\nlogpath = 1\n" + JAIL, "known are backend"),
        (
            JAIL + 'ignoreip = "10.0.0.1 10.0.0.300 example.com"',
            'host names, and "file:/path" with such, and not 10.0.0.300',
        ),
        (
            '[enforcer]\nnever_ban = "10.0.0.1 10.0.0.300 example.com"\n' + JAIL,
            "and not 10.0.0.300, example.com; names of hosts are not looked up",
        ),
        ("[enforcer]\nignoreself = true\n" + JAIL, "own addresses and gateways are never banned"),
        ("[sshd]\nenabled = true\nlogpath = /var/log/auth.log\n", "it reads like a file of fail2ban's"),
        ("[jail.x]\nfilter = 'nosuch'\nsource = 'stdin'", "no filter is named 'nosuch'"),
    ],
)
def test_others_words_get_ours(text: str, said: str, tmp_path: Path) -> None:
    """One problem, which says how to write what was meant."""
    (problem,) = problems(tmp_path, text)
    assert said in problem


@pytest.mark.real("fail2ban")
def test_a_mode_that_a_filter_has_not_names_those_it_has(tmp_path: Path) -> None:
    """A typo in an option of fail2ban's filter is told by that option."""
    (problem,) = problems(tmp_path, '[jail.p]\nfilter = "postfix[mode=agressive]"\nsource = "stdin"')
    assert "mode = 'agressive': expected one of aggressive, auth" in problem
