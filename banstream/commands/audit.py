"""`banstream audit`: whether the trail is what was written; how far it goes, to be kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
import orjson

from banstream.audit import AuditResult, checkpoint_of, verify
from banstream.audit_report import NOT_EVIDENCED, Section, account, sentences
from banstream.config import load_settings
from banstream.instants import Instant, now_ms
from banstream.options import config_option, json_option
from banstream.pages import heading, page, paragraph, table, write_page
from banstream.reading import open_to_read
from banstream.show import counted, instant, json_line, say
from eventlog.contract import EventLog
from eventlog.identity import known_id
from schemas.errors import ConfigError, InvalidMessage

DOMAIN: Final = b"banstream: a checkpoint of the audit trail\n"


@click.group("audit")
def audit_command() -> None:
    """Whether the trail is what was written, and how far it goes."""


@audit_command.command("verify")
@click.option("--against", metavar="FILE", help="A checkpoint that was kept elsewhere.")
@click.option("--public-key", metavar="KEY", help="... which must be signed with the key of this public one.")
@json_option
@config_option
def verify_command(
    against: str | None, public_key: str | None, *, as_json: bool, config_file: str | None
) -> int:
    r"""Find whatever was changed, removed, inserted or moved among decisions, commands and rules.

    \b
    banstream audit verify
    banstream audit verify --against /mnt/elsewhere/checkpoint.json --public-key KEY

    By the chains that the decider writes along. Whoever may write the log may write these anew: a checkpoint
    kept elsewhere shows that. Exit code 1 when anything is found.
    """
    if public_key is not None and against is None:
        raise click.UsageError("--public-key is of a checkpoint: name it with --against")
    checkpoint = None if against is None else _read(Path(against), public_key)
    log = open_to_read(load_settings(config_file, check="log"))
    try:
        if checkpoint is not None:
            _check_same(log, checkpoint, against or "")
        checked = verify(log, now_ms(), checkpoint)
    finally:
        log.close()
    _print(checked, checkpoint, as_json=as_json)
    return 1 if checked.findings else 0


@audit_command.command("checkpoint")
@click.option("--key", "key_file", metavar="FILE", help="Sign it with this Ed25519 key.")
@config_option
def checkpoint_command(key_file: str | None, config_file: str | None) -> int:
    r"""Print how far the trail goes, to be kept where who may write the log may not.

    \b
    banstream audit checkpoint --key audit.key > /mnt/elsewhere/checkpoint.json
    """
    log = open_to_read(load_settings(config_file, check="log"))
    try:
        made = checkpoint_of(log, known_id(log), now_ms())
    finally:
        log.close()
    if key_file is not None:
        from banstream.key_files import key_in
        from schemas.signatures import public_text, sign

        private = key_in(Path(key_file), "--key")
        made |= {"public_key": public_text(private), "signature": sign(private, _digest(made))}
    json_line(made)
    return 0


@audit_command.command("report")
@click.option("--since", type=Instant(), default="30d", metavar="INSTANT", help="[default: 30d]")
@click.option("--html", "html_file", metavar="FILE.html", help="Write it as a page.")
@json_option
@config_option
def report_command(since: int, html_file: str | None, *, as_json: bool, config_file: str | None) -> int:
    """Who did what with which effect: operators, rules, bans, what failed; and what is not evidenced.

    Each part says which paragraphs of PCI DSS 4.0.1, ISO 27001:2022, SOC 2 and HIPAA it answers. Exit code 1
    when the trail is not what was written.
    """
    log = open_to_read(load_settings(config_file, check="log"))
    try:
        sections, checked = account(log, since, now_ms())
    finally:
        log.close()
    if html_file:
        write_page(Path(html_file), page(f"Audit since {instant(since)}", _parts(sections)))
    if as_json:
        for section in sections:
            json_line(section.to_wire())
        json_line({"kind": "not_evidenced", "what": list(NOT_EVIDENCED)})
    elif not html_file:
        for line in sentences(sections):
            say(line)
    return 1 if checked.findings else 0


def _parts(sections: Sequence[Section]) -> Iterator[str]:
    for section in sections:
        yield heading(section.title)
        yield paragraph(", ".join(section.answers))
        yield table(section.columns, section.rows)
    yield heading("What this does not evidence")
    yield from map(paragraph, NOT_EVIDENCED)


def _digest(checkpoint: dict[str, Any]) -> bytes:
    """What is signed of a checkpoint: all but who signs."""
    said = {name: checkpoint[name] for name in checkpoint if name not in {"public_key", "signature"}}
    return sha256(DOMAIN + orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()


def _read(path: Path, public_key: str | None) -> dict[str, Any]:
    """A checkpoint of a file; ConfigError where it is none, or not signed as it should be."""
    try:
        made: Any = orjson.loads(path.read_bytes())
        parts = [
            (int(part[name]["count"]), bytes.fromhex(part[name]["head"]))
            for part in made["partitions"]
            for name in ("decisions", "commands")
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "it is no checkpoint of `banstream audit checkpoint`"
        raise ConfigError(f"{path}: {reason}") from error
    if made.get("type") != "checkpoint" or not parts:
        raise ConfigError(f"{path}: it is no checkpoint of `banstream audit checkpoint`")
    if public_key is not None:
        _check_signed(path, made, public_key)
    return dict(made)


def _check_signed(path: Path, made: dict[str, Any], public_key: str) -> None:
    from schemas.signatures import public_from, verified

    try:
        public = public_from(public_key)
    except InvalidMessage as error:
        raise ConfigError(f"--public-key: {error}") from error
    if not verified(public, _digest(made), str(made.get("signature", ""))):
        raise ConfigError(f"{path}: it is not signed with the key of {public_key}, or was changed since")


def _check_same(log: EventLog, checkpoint: dict[str, Any], file: str) -> None:
    name, own = checkpoint.get("log"), known_id(log)
    if name and name != own:
        raise ConfigError(f"{file}: it is of the log {name}, and this one is {own or 'nameless'}")
    if len(checkpoint["partitions"]) != log.partitions:
        raise ConfigError(f"{file}: it has other partitions than the log")


def _print(checked: AuditResult, checkpoint: dict[str, Any] | None, *, as_json: bool) -> None:
    for each in checked.findings:
        if as_json:
            json_line(each.to_wire())
        else:
            say(each.sentence())
    if as_json:
        json_line(
            {
                "kind": "audit",
                "findings": len(checked.findings),
                "vouched": checked.vouched,
                "unvouched": checked.unvouched,
                "checkpoint_at_ms": None if checkpoint is None else checkpoint.get("at_ms"),
            }
        )
        return
    since = (
        "" if checkpoint is None else f"; it goes on from the checkpoint of {instant(checkpoint['at_ms'])}"
    )
    found = "as it was written" + since if not checked.findings else counted(len(checked.findings), "finding")
    say(f"{counted(checked.vouched, 'message')} of decisions and commands: {found}.")
    if checked.unvouched:
        say(f"{counted(checked.unvouched, 'message')} that no chain vouches for: older, or not obeyed yet.")
