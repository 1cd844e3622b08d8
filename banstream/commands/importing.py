"""`banstream import`: the way over from others."""

from __future__ import annotations

import gc
import time
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import click

from banstream.config import Settings, load_settings
from banstream.importing.checking import Checked, check, write
from banstream.importing.commands import Elsewhere, Given, give_once, jails_in_force
from banstream.importing.crowdsec import OVER, read_lists
from banstream.importing.held import MOST_BANS, HeldBan, read_held
from banstream.importing.installation import read_installation
from banstream.importing.remarks import Remark
from banstream.importing.translation import Translation, translate
from banstream.options import config_option, json_option
from banstream.show import counted, instant, json_line, note, say
from schemas.errors import ConfigError
from schemas.secrets import hidden

FOLDER: Final = "/etc/fail2ban"
WHO: Final = "import fail2ban"


@click.group("import")
def import_command() -> None:
    """Take over what another program has: its configuration, its bans."""


@import_command.command("fail2ban")
@click.argument("folder", default=FOLDER, type=click.Path(file_okay=False, path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Every jail there is, as if it were enabled.")
@click.option(
    "--write",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the configuration there, and the report to stdout [default: the configuration to stdout, "
    "the report to stderr].",
)
@click.option("--force", is_flag=True, help="With --write: over a file that is there.")
@click.option(
    "--bans",
    is_flag=True,
    help="The bans in force, too, from fail2ban's database into the log of --config, else of --write.",
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="fail2ban's database [default: dbfile of fail2ban.conf].",
)
@json_option
@config_option
def fail2ban_command(
    folder: Path,
    everything: bool,
    file: Path | None,
    force: bool,
    bans: bool,
    database: Path | None,
    as_json: bool,
    config_file: str | None,
) -> int:
    r"""fail2ban's configuration as one of banstream's, and what became of each key.

    FOLDER holds jail.conf, jail.local, jail.d and filter.d; nothing in it is changed.
    Only what is not as usual here is written. With --bans each ban in force is a ban by hand of that jail,
    for as long as it goes on; run again, it gives none a second time. Exit code 1 when something that
    banned before would not ban now.

    \b
    banstream import fail2ban
    banstream import fail2ban --write /etc/banstream/banstream.toml --bans
    """
    if database is not None and not bans:
        raise click.UsageError("--database is for --bans")
    gc.disable()  # the syntax of a hundred filters holds few cycles: looking for them is a tenth of the time
    installation = read_installation(folder.absolute())
    made = translate(installation, everything=everything)
    checked = check(made.draft, installation.place)
    made.remarks += checked.lost
    if not checked.draft.jails:
        raise ConfigError(f"{folder}: {_no_jails(made)}")
    if file is not None:
        write(checked.draft.text(), file, force=force)
    target = config_file or (str(file) if file is not None else None)
    told = [] if not bans else _carry_bans(database or installation.database, target, made)
    _tell(Imported(made, checked, file, told), as_json=as_json)
    return int(any(each.is_lost for each in made.remarks))


class Imported(NamedTuple):
    """What came of it; `told`: sentences on the bans."""

    made: Translation
    checked: Checked
    file: Path | None
    told: list[str]


def _carry_bans(database: Path, config_file: str | None, made: Translation) -> list[str]:
    """Give the bans in force to the log; what is to be said of it. Adds remarks on those of no jail here."""
    settings = load_settings(config_file, check="log")
    held = read_held(database, time.time())
    jails = jails_in_force(settings, config_file)
    homeless = Counter(ban.jail for ban in held.bans if ban.jail not in jails)
    for jail, count in sorted(homeless.items()):
        said = (
            f"{counted(count, 'ban')} of it not taken over: the rules in force have no such jail; "
            "`banstream reload`, and import again"
        )
        made.remarks.append(Remark(verdict="lost", jail=jail, key="bans", said=said))
    in_force = [ban for ban in held.bans if ban.jail in jails]
    grown = [ban for ban in in_force if ban.number > 1]
    grown += [ban for ban in held.over if ban.jail in jails and ban.number > 0]
    given = give_once(settings, [*map(_decided, in_force), *(_remembered(ban) for ban in grown)])
    told = [f"{counted(len(held.bans), 'ban')} in force in {database}; {_given(given, settings)}."]
    if grown:
        told.append(f"How often each of {len(grown)} was banned comes along: its next ban is no first one.")
    elsewhere = sum(ban.jail not in jails for ban in held.over)
    if elsewhere:
        told.append(
            f"Not taken over: {counted(elsewhere, 'ban')} that had ended, of jails that are not in force."
        )
    if held.odd:
        told.append(
            f"Not taken over: {counted(held.odd, 'row that is', 'rows that are')} no ban of an address."
        )
    return told


def _decided(ban: HeldBan) -> Elsewhere:
    return Elsewhere(
        verb="ban",
        prefix=ban.prefix,
        jail=ban.jail,
        duration_ms=ban.left_ms,
        who=WHO,
        why=f"fail2ban banned it at {instant(ban.since_s * 1_000)} in its jail {ban.jail} (ban {ban.number})",
        since=str(ban.since_s),
    )


def _remembered(ban: HeldBan) -> Elsewhere:
    """How often it was banned, and until when; a ban that goes on is given before."""
    over = ban.left_ms is not None and ban.left_ms <= 0
    return Elsewhere(
        verb="remember",
        prefix=ban.prefix,
        jail=ban.jail,
        who=WHO,
        why=f"fail2ban banned it {counted(ban.number, 'time')} in its jail {ban.jail}",
        since=f"{ban.since_s}",
        bans=min(ban.number, MOST_BANS),
        over_ms=ban.over_ms if over else None,
    )


def _no_jails(made: Translation) -> str:
    lost = [each.sentence for each in made.remarks if each.verdict != "translated"]
    off = f"{counted(made.off, 'jail')} off: --all takes them all" if made.off else "there is none"
    return "; ".join([f"no jail is enabled that could be translated ({off})", *lost])


def _tell(came: Imported, *, as_json: bool) -> None:
    made, checked, file, told = came
    text, jails = checked.draft.text(), len(checked.draft.jails)
    lost = sum(each.is_lost for each in made.remarks)
    if as_json:
        for remark in made.remarks:
            json_line(remark.to_wire())
        facts = {"jails": jails, "off": made.off, "lost": lost, "warnings": checked.warnings, "bans": told}
        json_line({"kind": "import", "file": file and str(file), **facts, "text": text})
        return
    tell = note if file is None else say
    if file is None:
        click.echo(text, nl=False)
    for remark in made.remarks:
        tell(remark.sentence)
    for warning in checked.warnings:
        tell(f"WARNING: {warning}")
    where = "" if file is None else f" in {file}"
    left = f"; {counted(made.off, 'jail')} off, and left out (--all takes them too)" if made.off else ""
    tell(f"{counted(jails, 'jail')}{where}, and `config check` finds it good{left}.")
    for sentence in told:
        tell(sentence)
    if lost:
        tell(f"{counted(lost, 'key')} lost: what banned by it before would not ban now.")


@import_command.command("crowdsec")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(dir_okay=False, path_type=Path)
)
@json_option
@config_option
def crowdsec_command(files: tuple[Path, ...], as_json: bool, config_file: str | None) -> int:
    r"""CrowdSec's decisions as bans by hand, and its allow-lists as allows, for as long as they go on.

    Run again on the same, it gives none a second time. Exit code 1 when a decision is not taken over. Its
    profiles and scenarios are not read.

    \b
    cscli decisions list -o json > decisions.json
    cscli allowlists list -o json > allowed.json
    banstream import crowdsec decisions.json allowed.json
    """
    listed = read_lists(list(files))
    settings = load_settings(config_file, check="log")
    given = give_once(settings, listed.decided)
    missed = sum(count for why, count in listed.left_out.items() if why != OVER)
    if as_json:
        facts = {"given": given.given, "known": given.known, "running": given.running}
        json_line({"kind": "import", **facts, "left_out": dict(listed.left_out)})
        return int(missed > 0)
    bans = sum(each.verb == "ban" for each in listed.decided)
    found = f"{counted(bans, 'ban')} and {counted(len(listed.decided) - bans, 'allow')} found"
    say(f"{found}; {_given(given, settings)}.")
    for why, count in listed.left_out.items():
        say(f"NOT TAKEN OVER: {count} {why}")
    return int(missed > 0)


def _given(given: Given, settings: Settings) -> str:
    """How many commands an import has given, and when they take effect."""
    then = "they take effect now" if given.running else "`banstream up` applies them at its start"
    known = f"; {given.known} were given by an import before" if given.known else ""
    return f"{counted(given.given, 'command')} given to {hidden(settings.log_url)}: {then}{known}"
