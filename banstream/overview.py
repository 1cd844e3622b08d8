"""What there is: the version, the commands, and the help that lists them. It imports next to nothing.

Who asks only for that has it in the time that Python takes to start; the rest is loaded for who does more.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"

COMMANDS: Final[dict[str, str]] = {
    "setup": "Write a first configuration: three questions, then it is there.",
    "up": "Protect this machine: the whole pipeline in one process.",
    "ship": "Send this machine's events to the fleet's log.",
    "parse": "Read what hosts send with their own shippers into the log.",
    "decide": "Decide on a log on Kafka: one worker or many, on any hosts.",
    "enforce": "Follow the fleet's bans with this machine's firewall.",
    "sink": "Send what happens elsewhere: a SIEM, mail, scripts.",
    "demo": "Ten seconds that show what this is, without touching the machine.",
    "attack": "A harmless attack on a machine of one's own, to see it banned.",
    "match": "Lines to events: which lines of a log a filter matches.",
    "replay": "What the rules would decide, over log files or over the event log.",
    "status": "What is going on: jails, counts, the firewall, warnings.",
    "bans": "The bans in force.",
    "events": "The events read from the logs.",
    "export": "What the log has, in a SIEM's format, on standard output.",
    "watch": "Events and decisions as they happen.",
    "ban": "Ban an address or prefix.",
    "unban": "End bans of an address or prefix, or all.",
    "forgive": "Forget the failures counted so far.",
    "allow": "Unban an address or prefix, and never ban it.",
    "breaker": "Whether the breaker refuses new bans on this machine; reset it.",
    "flush": "Every ban out of this machine's firewall; the log keeps them.",
    "reload": "Have the roles that run here read their configuration again.",
    "stop": "Stop the role that runs here.",
    "explain": "Why: lines, events, rules, decision, what the enforcer did.",
    "audit": "Whether anybody changed the trail; checkpoints of it.",
    "timeline": "All that the log has about somebody, in order.",
    "shadow": "What a jail that only observes would have done.",
    "config": "Check or show the configuration.",
    "import": "Take over what fail2ban or CrowdSec has: jails, bans, lists.",
    "filters": "List filters, or test them on their own samples.",
    "fail2ban-client": "What scripts ask of fail2ban-client, answered in its words.",
    "rules": "Put rules in force in a fleet, and list them.",
    "lists": "Addresses that are never counted: show lists, push a fleet's.",
    "hosts": "Who may ship: make and enroll hosts' keys, revoke and list them.",
    "topics": "Make or show the topics of the log on a Kafka cluster.",
    "log": "Make an embedded log small again, or move it to a Kafka cluster.",
    "doctor": "Check what this machine has and lacks.",
}

LONG: Final = 12
"""A longer name does not widen the column of all."""
USAGE: Final = "Usage: banstream [OPTIONS] COMMAND [ARGS]..."
ABOUT: Final = """Fail2ban for a fleet, as an event stream.

It reads your logs, and keeps out addresses that go on guessing passwords.
Log lines become events, events become decisions, decisions become firewall
rules, and the log in between explains every one of them.
"""
OPTIONS: Final = {"--version": "Show the version and exit.", "-h, --help": "Show this message and exit."}
EPILOG: Final = (
    "Start with `banstream demo`, then `banstream doctor` and `banstream up`;",
    "`banstream COMMAND --help` says what a command takes.",
)


def overview() -> str:
    """The help of the whole program."""
    about = "".join(f"  {line}".rstrip() + "\n" for line in ABOUT.splitlines())
    epilog = "".join(f"  {line}\n" for line in EPILOG)
    return f"{USAGE}\n\n{about}\nOptions:\n{_listed(OPTIONS)}\nCommands:\n{_listed(COMMANDS)}\n{epilog}"


def _listed(rows: dict[str, str]) -> str:
    width = max(len(name) for name in rows if len(name) <= LONG) + 2
    return "".join(f"  {f'{name}  ':{width}}{text}\n" for name, text in rows.items())
