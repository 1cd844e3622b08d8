"""`banstream allow`: unban, and never ban; and who is allowed."""

from __future__ import annotations

from typing import Any

import click

from banstream.allowed import allowed, configured
from banstream.config import load_settings
from banstream.instants import now_ms
from banstream.options import PREFIX, config_option, json_option
from banstream.ordering import command, for_option, give, why_option
from banstream.reading import open_to_read
from banstream.show import counted, instant, json_line, say, show, table


@click.command("allow")
@click.argument("prefix", type=PREFIX, required=False)
@for_option
@click.option("--remove", is_flag=True, help="Take an earlier allow back.")
@click.option("--list", "listing", is_flag=True, help="Show who is allowed, until when, by whom and why.")
@why_option
@json_option
@config_option
def allow_command(
    as_json: bool, config_file: str | None, remove: bool, listing: bool, **facts: str | int | None
) -> int:
    """Unban an address or prefix now, and neither count nor ban what lies inside it from now on.

    With --list: who is allowed now by such a word, and what this host's configuration says besides. Exit code
    1 when nobody is.
    """
    if listing:
        if facts["prefix"] is not None or remove or facts["duration_ms"] is not None:
            raise click.UsageError("--list stands alone")
        return _list(config_file, as_json=as_json)
    if facts["prefix"] is None:
        raise click.UsageError("an address or prefix is needed; --list shows who is allowed")
    return give(config_file, command("disallow" if remove else "allow", **facts), as_json=as_json)


def _list(config_file: str | None, *, as_json: bool) -> int:
    settings = load_settings(config_file, check="log")
    log = open_to_read(settings)
    try:
        words = allowed(log, now_ms())
    finally:
        log.close()
    others = list(configured(settings))
    if as_json:
        for word in words:
            json_line(word.to_wire())
        for other in others:
            json_line(other.to_wire())
    elif words or others:
        rows: list[tuple[Any, ...]] = [
            (word.prefix, instant(word.until_ms), f"{word.who}, {instant(word.at_ms)}", word.why)
            for word in words
        ]
        rows += [(other.prefix, "", other.where, "") for other in others]
        title = f"{counted(len(words), 'prefix', 'prefixes')} allowed by operators"
        show(table(title, ("prefix", "until", "by", "why"), rows))
    else:
        say("Nobody is allowed.")
    return 0 if words or others else 1
