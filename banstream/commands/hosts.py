"""`banstream hosts`: who may ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
import orjson

from banstream.config import Settings, load_settings
from banstream.enrolled import hosts_of
from banstream.instants import Instant, now_ms
from banstream.options import config_option, json_option
from banstream.ordering import command, submit, why_option
from banstream.reading import open_to_read, open_to_tell, records
from banstream.show import counted, instant, json_line, note, say, show, table
from banstream.undoing import caused_by
from banstream.values import host
from eventlog.contract import EventLog
from schemas.codec import to_wire
from schemas.errors import ConfigError, InvalidMessage, LogError, Transient
from schemas.records import Command
from schemas.signatures import fingerprint, public_text
from schemas.topics import COMMANDS
from streams.hosts import HostKey, Hosts

PLACE: Final = "/etc/banstream/host.key"


class HostType(click.ParamType):
    """A host's name, as its `[ship] host` says it."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name."""
        try:
            return host(value)
        except ValueError as error:
            self.fail(f"{value!r}: expected {error}", param, ctx)


name_argument = click.argument("name", type=HostType())
file_type: Final = click.Path(dir_okay=False, path_type=Path)


@click.group("hosts")
def hosts_command() -> None:
    r"""Who may ship: make and enroll hosts' keys, revoke and list them.

    A host with `[ship] key_file` signs what it ships. A host that is enrolled has to: what is not signed with
    its key does not count, nor what another host signs under its name. Either make the key on the host:

    \b
    banstream hosts key --key-file /etc/banstream/host.key         (there; prints the public key)
    banstream hosts enroll web1 --public-key TEXT                  (wherever operators are)

    or make it here, and bring it there: `banstream hosts enroll web1 --key-file web1.key`. A host that ships
    already signs first, with a key that nobody knows yet, and is enrolled then: so nothing of it is refused.
    """


@hosts_command.command("key")
@click.option("--key-file", required=True, type=file_type, metavar="FILE", help="Where the private key is.")
@json_option
def key_command(key_file: Path, as_json: bool) -> int:
    """Make this host's key, and print its public half.

    Where the file is there already, it is shown as it is. The file is for its owner alone, who has to be the
    user that `banstream ship` runs as, or root where systemd hands it over. It is never overwritten.
    """
    made = not key_file.exists()
    text = _public_in(key_file)
    if as_json:
        json_line({"made": made, "key_file": str(key_file), **_named(text)})
    else:
        say(f"{'Made' if made else 'Found'} {key_file}: {fingerprint(text)}")
        say(f"Public key: {text}")
        say(f"To enroll this host: banstream hosts enroll NAME --public-key {text}")
    return 0


@hosts_command.command("enroll")
@click.argument("name", type=HostType(), required=False)
@click.option(
    "--key-file", type=file_type, metavar="FILE", help="The private key's; made if it is not there."
)
@click.option("--public-key", metavar="TEXT", help="Enroll this key, of `banstream hosts key`.")
@why_option
@json_option
@config_option
def enroll_command(
    name: str | None,
    key_file: Path | None,
    public_key: str | None,
    why: str,
    as_json: bool,
    config_file: str | None,
) -> int:
    """Enroll a host: it has to sign what it ships.

    NAME is the host's `[ship] host`. From now on what is shipped under it has to be signed with this key.
    Another key of a host that is enrolled takes the old one's place; a key that was replaced or revoked is
    not taken again. One of --key-file and --public-key is needed. Without NAME it is this host, with the key
    in its `[ship] key_file`. What is so already is not changed.
    """
    settings = load_settings(config_file, check="names")
    host, file = _whom(settings, name, key_file, public_key)
    log = open_to_tell(settings)
    try:
        known = _hosts(log)
        before = _key_of(known, host)
        text = public_key or _public_in(file, "--key-file" if name else "ship.key_file")
        _check_owner(known, host, text)
        word = command("enroll", host=host, public_key=text, why=why)
        changed = any(_facts(hosts, host)[1] != text for hosts in known)
        if changed:
            give_all(log, known, word)
    finally:
        log.close()
    replaced = before.public_key if before and before.public_key != text else None
    if as_json:
        facts = {"outcome": "enrolled" if changed else "unchanged", "host": host, **_named(text)}
        path = None if file is None else str(file)
        json_line({**facts, "key_file": path, "replaced": replaced, "command": to_wire(word)})
        return 0
    say(f"{host} is enrolled{'' if changed else ' already'}, with the key {fingerprint(text)}.")
    if replaced:
        say(f"It takes the place of {fingerprint(replaced)}, with which nothing more may be signed.")
    if changed and name:
        _say_what_next(host, file)
    return 0


@hosts_command.command("revoke")
@name_argument
@click.option("--since", type=Instant(), help='Since when it is not to be believed, such as "2h" (ago).')
@click.option("--keep-bans", is_flag=True, help="Lift no bans.")
@why_option
@json_option
@config_option
def revoke_command(
    name: str, since: int | None, keep_bans: bool, why: str, as_json: bool, config_file: str | None
) -> int:
    """Revoke a host: it is believed no longer.

    What the log takes of it from now on, or has of it since the instant named, does not count. Bans in force
    that rest on its events alone (since that instant, where one is named) are lifted, unless --keep-bans says
    otherwise; those that rest on others' too are shown. Its name stays taken; it comes back when it is
    enrolled with another key. Exit code 1 when no such host is enrolled.
    """
    if since is not None and since > now_ms():
        raise ConfigError(f"--since {instant(since)} is yet to come; leave it out to revoke {name} now")
    log = open_to_tell(load_settings(config_file, check="log"))
    try:
        known = _hosts(log)
        key = _key_of(known, name)
        word = command("revoke", host=name, since_ms=since, why=why)
        caused = [] if key is None else list(caused_by(log, name, since))
        if key is not None:
            give_all(log, known, word)
        lifted = [] if keep_bans else [each for each in caused if each.alone]
        for each in lifted:
            submit(log, command("unban", prefix=each.prefix, jail=each.jail, why=f"{name} was revoked"))
    finally:
        log.close()
    if as_json:
        for each in caused:
            json_line({"outcome": "lifted" if each in lifted else "kept", **each._asdict()})
        outcome = "unchanged" if key is None else "revoked"
        json_line({"outcome": outcome, "host": name, "command": to_wire(word)})
    elif key is None:
        say(f"{name} is not enrolled; `banstream hosts list` shows who is.")
    else:
        say(f"{name} is revoked, from {'now' if since is None else instant(since)} on.")
        for each in caused:
            rests = "on its events alone" if each.alone else "on others' events, too"
            what = "lifted" if each in lifted else "kept"
            say(f"  {what}: {each.prefix} jail={each.jail} rests {rests} (decision {each.ban})")
    return int(key is None)


@hosts_command.command("list")
@json_option
@config_option
def list_command(as_json: bool, config_file: str | None) -> int:
    """List the enrolled hosts, with the newest key of each. Exit code 1 when there are none."""
    log = open_to_read(load_settings(config_file, check="log"))
    try:
        known, who = _hosts(log), _enrolled_by(log)
    finally:
        log.close()
    names = sorted({name for hosts in known for name in hosts.enrolled})
    found = [(name, key) for name in names if (key := _key_of(known, name))]
    for name, key in found if as_json else ():
        facts = {"enrolled_at_ms": key.since_ms, "revoked_since_ms": key.until_ms}
        json_line({"host": name, **_named(key.public_key), **facts, "who": who.get(key.public_key)})
    if found and not as_json:
        rows = [
            (
                name,
                fingerprint(key.public_key),
                instant(key.since_ms),
                who.get(key.public_key, ""),
                _end(key),
            )
            for name, key in found
        ]
        show(table(counted(len(found), "host"), ("host", "key", "enrolled", "by", "revoked"), rows))
    elif not as_json:
        say("No host is enrolled; `banstream hosts --help` says how.")
    unlike = [name for name in names if len({_facts(hosts, name) for hosts in known}) > 1]
    for name in unlike:
        note(f"WARNING: not all partitions know the same of {name}; enroll or revoke it again")
    return int(not found or bool(unlike))


def _whom(
    settings: Settings, name: str | None, key_file: Path | None, public_key: str | None
) -> tuple[str, Path | None]:
    """The host's name and its key's file: without a name those that this host's configuration has.

    Raises UsageError, ConfigError.
    """
    if name is not None:
        if (key_file is None) == (public_key is None):
            raise click.UsageError(
                "one of --key-file FILE, which makes a key, and --public-key TEXT is needed"
            )
        return name, key_file
    if key_file or public_key:
        raise click.UsageError("--key-file and --public-key are for a host that is named: enroll NAME ...")
    if settings.ship.key_file is None:
        raise ConfigError("ship.key_file: missing, and no NAME is given; set it, or say whom to enroll")
    return settings.ship.host, Path(settings.ship.key_file)


def _public_in(file: Path | None, named: str = "--key-file") -> str:
    """The public half of the key in a file, which is made where there is none.

    Raises ConfigError; `named`: what names the file.
    """
    from banstream.key_files import key_in

    return "" if file is None else public_text(key_in(file, named))


def _check_owner(known: list[Hosts], name: str, text: str) -> None:
    """Raise ConfigError where a key is another host's: who has it could then speak for both."""
    for hosts in known:
        for other, enrolled in hosts.enrolled.items():
            if other != name and any(key.public_key == text for key in enrolled.keys):
                raise ConfigError(f"{name}: this key is {other}'s; make each host a key of its own")


def give_all(log: EventLog, known: list[Hosts], word: Command) -> None:
    """Append a command to every partition.

    Raises ConfigError where a decider would refuse it: nothing is written then. Where the log fails, says how
    to go on, and raises what it raised.
    """
    try:
        for hosts in known:
            hosts.obey(word, word.at_ms)
    except InvalidMessage as error:
        raise ConfigError(f"{word.host}: {error}") from error
    try:
        submit(log, word)
    except (LogError, Transient):
        key = f" --public-key {word.public_key}" if word.public_key else ""
        again = f"banstream hosts {word.verb} {word.host}{key}"
        note(f"Some partitions may have the command. As soon as the log takes it: {again}")
        raise


def _hosts(log: EventLog) -> list[Hosts]:
    """The hosts as each partition's commands tell of them."""
    return [hosts_of(log, number) for number in range(log.partitions)]


def _enrolled_by(log: EventLog) -> dict[str, str]:
    """Who enrolled each key first."""
    who: dict[str, str] = {}
    for each in records(log, COMMANDS.name, containing=b'"verb":"enroll"'):
        if isinstance(each.record, Command) and each.record.public_key is not None:
            who.setdefault(each.record.public_key, each.record.who)
    return who


def _key_of(known: list[Hosts], name: str) -> HostKey | None:
    """A host's newest key, of the first partition that knows one."""
    keys = (key for hosts in known if name in hosts.enrolled for key in hosts.enrolled[name].keys[-1:])
    return next(keys, None)


def _facts(hosts: Hosts, name: str) -> tuple[bool, str | None]:
    """What all partitions have to know alike: whether a name is taken, and by which key in force."""
    key = _key_of([hosts], name)
    return name in hosts.enrolled, None if key is None or key.until_ms is not None else key.public_key


def _named(text: str) -> dict[str, Any]:
    return {"public_key": text, "fingerprint": fingerprint(text)}


def _end(key: HostKey) -> str:
    return "" if key.until_ms is None else f"from {instant(key.until_ms)} on"


def _say_what_next(name: str, key_file: Path | None) -> None:
    """What is left to do on the host."""
    quoted = orjson.dumps(name).decode()
    if key_file is not None:
        say(f"Its private key is in {key_file} alone. Bring it to the host, as {PLACE}, readable for the")
        say(f"user of `banstream ship` alone (chmod 600), and remove {key_file}.")
    say("In the host's configuration, for `banstream ship`, and then restart it:")
    say(f'  [ship]\n  host = {quoted}\n  key_file = "{PLACE}"')
