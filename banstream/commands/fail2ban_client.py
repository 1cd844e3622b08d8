"""`banstream fail2ban-client`: what scripts ask of fail2ban, in its words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

import click

from banstream import fail2ban_client as answers
from banstream.commands.reload import RELOADABLE, reload_role
from banstream.config import load_settings
from banstream.fail2ban_client import NO_COMMAND, NO_SET, ClientAnswer, Fail2banClient, Refused
from banstream.overview import VERSION
from banstream.running import running
from banstream.show import note, printable
from schemas.errors import BanstreamError, ConfigError

FAILED: Final = 255
"""fail2ban-client's exit code for whatever went wrong."""
KEPT: Final = re.compile(r"([\t\n])")
"""What its answers are laid out with; whatever else could steer a terminal is escaped."""
WITH_VALUE: Final = frozenset({"-c", "--conf", "-s", "--socket", "-p", "--pidfile", "--pname", "--timeout"})
PASSED_OVER: Final = frozenset({"-q", "-v", "-vv", "-x", "-i", "-b", "-f", "--async"})
HINTS: Final = {
    "start": "`systemctl start banstream`, or `banstream up`",
    "stop": "`banstream stop`, or `systemctl stop banstream`",
    "restart": "`banstream reload`; else `banstream stop`, then `banstream up`",
    "server-stop": "`banstream stop`",
    "flushlogs": "nothing keeps a log file open",
    "stats": "`banstream status`",
    "statistics": "`banstream status`",
    "add": "a jail is a table [jail.NAME] in banstream.toml, then `banstream reload`",
}
ANYTHING_ELSE: Final = "`banstream --help` says what there is"


@click.command("fail2ban-client", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("--config", "config_file", metavar="FILE", help="banstream's configuration.")
def fail2ban_client_command(words: tuple[str, ...], config_file: str | None) -> int:
    r"""ClientAnswer what scripts ask of fail2ban-client as it does; a link of that name is this command.

    Exit code 255 where fail2ban-client has it: no such jail, nothing runs, or what has no counterpart here,
    which is said. Its own -c, -s and -p are passed over.

    \b
    banstream fail2ban-client status [JAIL | --all]
    banstream fail2ban-client banned [IP...]
    banstream fail2ban-client get JAIL banip [--with-time] | banned | ignoreip | findtime | maxretry | bantime
    banstream fail2ban-client get JAIL logpath | journalmatch | failregex
    banstream fail2ban-client set JAIL banip | unbanip | addignoreip | delignoreip IP...
    banstream fail2ban-client unban --all | IP...
    banstream fail2ban-client reload | ping | version | -t | -V
    """
    try:
        said = _answered(_without_options(words), config_file)
    except Refused as refused:
        said, code = refused.said, FAILED
        note(refused.hint or f"ERROR   NOK: {refused.said}")
    except BanstreamError as error:
        for line in error.problems if isinstance(error, ConfigError) else (str(error),):
            note(f"ERROR   {line}")
        return FAILED
    else:
        code = 0
    if said or not code:
        click.echo("".join(each if each in "\t\n" else printable(each) for each in KEPT.split(said)))
    return code


def _without_options(words: Sequence[str]) -> list[str]:
    """The words after fail2ban-client's own options, which are about another server."""
    left = list(words)
    while left:
        if left[0] in WITH_VALUE:
            del left[:2]
        elif left[0] in PASSED_OVER:
            del left[0]
        else:
            break
    return left


def _answered(words: Sequence[str], config_file: str | None) -> str:
    match words:
        case ["version" | "-V"]:
            return VERSION
        case ["--version"]:
            return f"banstream {VERSION}, in fail2ban-client's words"
        case ["-t" | "--test"]:
            load_settings(config_file)
            return "OK: configuration test is successful"
        case ["reload", *options]:
            return _reload(options, config_file)
        case _:
            answer = _answer(words)
            client = answers.opened(config_file)
            try:
                client.check_running()
                return answer(client)
            finally:
                client.log.close()


def _answer(words: Sequence[str]) -> ClientAnswer:
    match words:
        case ["ping", *_]:
            return lambda _: "Server replied: pong"
        case ["status", *rest] if len(rest) <= len(("JAIL", "flavor")):
            return partial(answers.status, asked=rest)
        case ["banned", *addresses]:
            return partial(answers.banned, addresses=addresses)
        case ["unban", *addresses] if addresses:
            wanted = [None] if addresses == ["--all"] else addresses
            return partial(answers.unban, name=None, addresses=wanted)
        case ["get", jail, key, *rest]:
            return partial(answers.get, name=jail, key=key, rest=rest)
        case ["set", jail, key, *rest]:
            return partial(_set, jail=jail, key=key, rest=rest)
        case _:
            raise Refused(NO_COMMAND, HINTS.get(words[0] if words else "", ANYTHING_ELSE))


def _set(client: Fail2banClient, jail: str, key: str, rest: Sequence[str]) -> str:
    client.jail(jail)
    match key:
        case "banip":
            return answers.ban(client, jail, rest)
        case "unbanip":
            return answers.unban(client, jail, rest)
        case "addignoreip":
            note("NOTE: `banstream allow` does it: in every jail, until it is taken back")
            return answers.ignore(client, jail, "allow", rest)
        case "delignoreip":
            return answers.ignore(client, jail, "disallow", rest)
        case _:
            raise Refused(NO_SET, f"set {key} in [jail.{jail}] of banstream.toml, then `banstream reload`")


def _reload(options: Sequence[str], config_file: str | None) -> str:
    """`reload`: all of it, whichever jail is named: what has not changed goes on."""
    if "--unban" in options:
        raise Refused(NO_COMMAND, "`unban --all`, then `reload`")
    settings = load_settings(config_file, check="log")
    found = [each for each in running(settings) if each.role in RELOADABLE]
    if not found:
        raise Refused("", "Failed to access the server: `banstream up` does not run on this log")
    for each in found:
        facts, done = reload_role(settings, each)
        problems = facts["reload"]["problems"] if done else [f"{each.role} gives no answer"]
        if problems:
            raise ConfigError(*problems)
    return "OK"
