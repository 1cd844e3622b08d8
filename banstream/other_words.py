"""What fail2ban and CrowdSec call things, for who writes their words into a configuration of banstream.

The words are those of jail.conf(5) and fail2ban.conf(5), and of CrowdSec's acquisition and scenario files.
"""

from __future__ import annotations

import re
from typing import Final

from producers.library import library_names

LISTED: Final = 'here it is source = "file:/var/log/auth.log", or a list of such'
FIREWALL: Final = "the firewall is set in [enforcer], and `ports` of a jail limits its bans to them"
MAIL: Final = 'here it is [sink.NAME] to = "mail:..." (docs/sinks.md), and actions = ["NAME"] of a jail'
ACTION: Final = (
    f'here it is a sink: actions = ["NAME"] of a jail, with [sink.NAME] (docs/sinks.md); {FIREWALL}'
)
OWN_FILTER: Final = (
    'here it is filter = "/path/of/your/own.toml", or fail2ban\'s own filter as "NAME[option=value]"'
)
IMPORT: Final = "`banstream import fail2ban` translates all of fail2ban's configuration"
AGE: Final = "here it is max_size of [log], which bounds what is kept"
JOURNAL: Final = 'here it is source = "journald:_SYSTEMD_UNIT=ssh.service"'
SAFE: Final = (
    "none is needed: own addresses and gateways are never banned, and never_ban of [enforcer] names others"
)

OF_JAILS: Final = {
    "action": ACTION,
    "banaction": FIREWALL,
    "banaction_allports": FIREWALL,
    "chain": FIREWALL,
    "destemail": MAIL,
    "mta": MAIL,
    "sender": MAIL,
    "protocol": "none is needed: a ban on ports drops TCP and UDP",
    "port": 'here it is ports = ["ssh"]',
    "logpath": LISTED,
    "log_path": LISTED,
    "filenames": LISTED,
    "filename": LISTED,
    "logs": LISTED,
    "path": LISTED,
    "file": LISTED,
    "backend": f"{LISTED}; or {JOURNAL.partition(' is ')[2]}",
    "journalmatch": JOURNAL,
    "journalctl_filter": JOURNAL,
    "failregex": OWN_FILTER,
    "ignoreregex": OWN_FILTER,
    "prefregex": OWN_FILTER,
    "datepattern": OWN_FILTER,
    "maxlines": OWN_FILTER,
    "mode": 'here it is filter = "sshd[mode=aggressive]" for fail2ban\'s filters',
    "logtimezone": 'here it is timezone = "Europe/Berlin"',
    "logencoding": "none is needed: UTF-8 and whatever else is there is read",
    "bantime_increment": "here it is [jail.NAME.increment]",
    "ignorecache": "none is needed: answers are kept for five minutes",
    "whitelist": 'here it is ignoreip = ["192.0.2.0/24"]',
    "allowlist": 'here it is ignoreip = ["192.0.2.0/24"]',
    "maxmatches": "none is needed: every failure that counted is kept",
    "duration": 'here it is bantime = "1h"',
    "ban_time": 'here it is bantime = "1h"',
    "find_time": 'here it is findtime = "10m"',
    "max_retry": "here it is maxretry = 5",
}
OF_THE_FILE: Final = {
    "DEFAULT": f"here it is [defaults]; {IMPORT}",
    "default": "here it is [defaults]",
    "jails": "here it is [jail.NAME]",
    "Definition": OWN_FILTER,
    "Init": OWN_FILTER,
    "INCLUDES": f"here it is conf.d/*.toml beside the file, which are read after it; {IMPORT}",
    "action": ACTION,
}
OF_THE_LOG: Final = {
    "dbfile": 'here it is url = "sqlite:///var/lib/banstream/log.db"',
    "dbpurgeage": AGE,
    "loglevel": "here it is --debug or --quiet of `banstream up`",
    "logtarget": "none is needed: it speaks on stderr, and systemd's journal has that",
}
OF_THE_ENFORCER: Final = {
    "banaction": 'here it is backend = "nftables"',
    "chain": FIREWALL,
    "ignoreip": 'here it is never_ban = ["192.0.2.0/24"]',
    "ignoreself": SAFE,
}
OF_TABLES: Final = {
    "defaults": OF_JAILS,
    "enforcer": OF_THE_ENFORCER,
    "jail": OF_JAILS,
    "log": OF_THE_LOG,
}
INI: Final = re.compile(
    r"^[ \t]*(?:\[(?:DEFAULT|INCLUDES|Definition|Init)\]|(?:logpath|banaction|action|failregex|port)[ \t]*=)",
    re.MULTILINE,
)


def ours(table: str, key: str) -> str | None:
    """How banstream says what others call `key`, in a table by its dotted name; None: nobody's word."""
    if not table:
        jail = f"here it is [jail.{key}]" if key in library_names() else None
        return OF_THE_FILE.get(key, jail)
    return OF_TABLES.get(table.partition(".")[0], {}).get(key)


def is_fail2bans(text: str) -> bool:
    """Whether a file that is no TOML reads like fail2ban's own."""
    return INI.search(text) is not None
