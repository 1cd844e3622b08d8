"""`banstream attack`: a harmless attack on a machine of one's own, to see it banned."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from banstream.attacking import GUESSES, Attacker, from_here, stranger
from banstream.chains import Chain
from banstream.commands.explain import show_chain
from banstream.commands.unban import unban_command
from banstream.config import Settings, load_settings
from banstream.explaining import explained
from banstream.looking import looking
from banstream.options import config_option
from banstream.show import counted, say
from eventlog.urls import is_shared
from schemas.errors import SourceError
from schemas.records import Ban

NAMESPACES: Final = Path("/run/netns")
SSH_PORT: Final = 22
MOST_TRIES: Final = 10
PATIENCE_S: Final = 10.0
"""How long a ban may take to reach the log that is looked at here."""


@click.command("attack")
@click.option(
    "--target",
    metavar="NAMESPACE|HOST:PORT",
    help="Another network namespace's sshd, or one elsewhere, attacked from here [default: this machine's, "
    "from a namespace that is made for it].",
)
@click.option("--service", type=click.Choice(["sshd"]), default="sshd", help="What is attacked.")
@click.option("--port", type=click.IntRange(1, 65_535), default=SSH_PORT, show_default=True)
@click.option(
    "--tries",
    type=click.IntRange(1, 1_000),
    default=MOST_TRIES,
    show_default=True,
    help=f"Connections at most, of {GUESSES} passwords each.",
)
@click.option("--i-own-this", "owned", is_flag=True, help="A public address is meant, and it is mine.")
@click.option("--keep", is_flag=True, help="Leave the ban in force; else it is ended.")
@config_option
def attack_command(
    target: str | None,
    service: str,
    port: int,
    tries: int,
    owned: bool,
    keep: bool,
    config_file: str | None,
) -> int:
    """Attack an sshd of one's own with wrong passwords, and show what became of it.

    As root it makes a network namespace with an address that nobody else has, guesses from there until
    nothing answers, shows the decision and its reasons, and takes all of it away again. Exit code 1 when
    the attacker was not banned.
    """
    del service  # there is one
    if target is not None and not (NAMESPACES / target).exists():
        attacker = from_here(target, owned=owned)
        return int(not _is_cut_off(attacker, tries))
    settings = load_settings(config_file, check="log")
    with stranger(target, port) as attacker:
        cut_off = _is_cut_off(attacker, tries)
        bans = _bans_of(settings, attacker.address)
        if not bans:
            say(f"No ban of {attacker.address} is in the log. Why not: banstream explain {attacker.address}")
            return 1
        show_chain(bans[0])
        if not keep:
            words = [attacker.address, "--why", "banstream attack is over"]
            unban_command.main(
                [*words, *(["--config", config_file] if config_file else [])], standalone_mode=False
            )
    return int(not cut_off)


def _is_cut_off(attacker: Attacker, tries: int) -> bool:
    """Guess until nothing answers; whether it came to that. Raises SourceError: no sshd is there."""
    say(f"{attacker.address} guesses passwords at {attacker.target} port {attacker.port}.")
    for number in range(1, tries + 1):
        answer = attacker.guess()
        if answer == "nobody there" and number == 1:
            raise SourceError(
                f"nothing listens at {attacker.target} port {attacker.port}: is sshd running, and on every "
                "address? (Debian: apt-get install openssh-server)"
            )
        if answer in {"no answer", "nobody there"}:
            say(f"   connection {number}: {answer}. The packets of {attacker.address} are dropped.")
            return True
        said = f"{counted(GUESSES, 'password')} refused" if answer == "refused" else "closed by sshd"
        say(f"   connection {number}: {said}")
    say(f"Still answered after {counted(tries, 'connection')}.")
    return False


def _bans_of(settings: Settings, address: str) -> list[Chain]:
    """The bans of an address in the log, newest first; waited for a little."""
    until = time.monotonic() + PATIENCE_S
    while True:
        with looking(settings) as look:
            answer = explained(look, address, last=1, shared=is_shared(settings.log_url))
        bans = [each for each in answer.chains if isinstance(each.decision, Ban)]
        if bans or time.monotonic() > until:
            return bans
        time.sleep(0.2)
