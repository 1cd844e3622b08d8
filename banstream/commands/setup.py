"""`banstream setup`: three questions, and a configuration that protects this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from banstream.config import load_settings
from banstream.doctor.machine import logged_in_from
from banstream.importing.checking import write
from banstream.locating import LOCAL_FILE, SYSTEM_FILE
from banstream.setting_up import Service, configuration, services, sshd
from banstream.show import say
from banstream.values import prefix
from schemas.errors import ConfigError

GROUP: Final = "banstream"
UNIT: Final = "banstream.service"
NONE: Final = "none"
ALL: Final = "all"


@click.command("setup")
@click.option("--yes", is_flag=True, help="Ask nothing: watch all that is found, ban by nftables.")
@click.option(
    "--write",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to [default: /etc/banstream/banstream.toml; unless root, ./banstream.toml].",
)
@click.option("--force", is_flag=True, help="Over a configuration that is there; it is kept as FILE.old.")
def setup_command(yes: bool, file: Path | None, force: bool) -> int:
    """Write a first configuration: three questions, each with an answer that it found.

    What to watch, who must never be banned, and whether the firewall takes part. Nothing is started.
    """
    target = file or (SYSTEM_FILE if os.geteuid() == 0 else LOCAL_FILE)
    if target.exists() and not force:
        raise ConfigError(f"{target}: is there already; edit it, or say --force (it is kept as {target}.old)")
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody to ask on standard input; say --yes to have what is found")
    found = services()
    if not found:
        say("No service whose log a filter reads was found here: sshd is watched as soon as it logs.")
        found = [sshd()]
    own = logged_in_from()
    safe = [own] if own else []
    watched: Sequence[Service] = found
    enforced = True
    if not yes:
        watched, safe = _ask_watched(found), _ask_safe(safe)
        enforced = click.confirm("3. Ban by the firewall (nftables)? No: only watch and record", default=True)
    text = configuration(watched, safe, enforced=enforced)
    _check(text)
    _keep(target)
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write(text, target, force=force)
    _share(target)
    _tell(target, watched, safe, enforced=enforced)
    return 0


def _ask_watched(found: Sequence[Service]) -> Sequence[Service]:
    """The services to watch, of those found."""
    say("1. What to watch? Found here:")
    for each in found:
        say(f"   {each.name:14} {each.title} ({', '.join(each.places) or 'no log yet'})")
    by_name = {each.name: each for each in found}

    def names(text: str) -> list[Service]:
        asked = text.replace(",", " ").split()
        wrong = [name for name in asked if name not in by_name]
        if asked == [ALL]:
            return list(found)
        if wrong or not asked:
            raise click.BadParameter(f"expected {ALL}, or names of {', '.join(by_name)}")
        return [by_name[name] for name in dict.fromkeys(asked)]

    chosen: Sequence[Service] = click.prompt("   Names", default=ALL, value_proc=names)
    return chosen


def _ask_safe(offered: Sequence[str]) -> list[str]:
    """Who is never banned."""
    default = " ".join(offered) or NONE

    def prefixes(text: str) -> list[str]:
        try:
            return [prefix(each) for each in text.replace(",", " ").split() if each != NONE]
        except ValueError as error:
            raise click.BadParameter(f"expected {error}, or {NONE}") from error

    note = "; you are logged in from the one offered" if offered else ""
    chosen: list[str] = click.prompt(
        f"2. Who must never be banned? Addresses or prefixes{note}", default=default, value_proc=prefixes
    )
    return chosen


def _check(text: str) -> None:
    """Refuse what the loader would not take."""
    with TemporaryDirectory(prefix="banstream-setup-") as folder:
        file = Path(folder) / LOCAL_FILE.name
        file.write_text(text, encoding="utf-8")
        load_settings(str(file))


def _keep(target: Path) -> None:
    """Keep the configuration that is there, beside the new one; over none that was kept before."""
    old = Path(f"{target}.old")
    if not target.exists():
        return
    if old.exists():
        raise ConfigError(f"{old}: is kept from before, and would be lost; move it away first")
    shutil.copy2(target, old, follow_symlinks=False)


def _share(target: Path) -> None:
    """Let the group that the service runs in read it, where root writes it for the service."""
    if os.geteuid() == 0:
        try:
            shutil.chown(target, group=GROUP)
        except LookupError:
            return  # not installed as a service


def _tell(target: Path, watched: Sequence[Service], safe: Sequence[str], *, enforced: bool) -> None:
    say(f"Written: {target}")
    say(f"Watched: {', '.join(each.name for each in watched)}")
    if safe:
        say(f"Never banned: {', '.join(safe)}")
    if not enforced:
        say("Nobody is banned: backend is null. `banstream bans` shows who would have been.")
    running = Path("/run/systemd/system").is_dir() and Path(f"/usr/lib/systemd/system/{UNIT}").is_file()
    start = "`systemctl enable --now banstream`" if running else "`banstream up`"
    say(f"Next: {start}; `banstream status` and `banstream doctor` say how it is.")
