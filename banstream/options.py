"""Options and arguments that several commands share."""

from __future__ import annotations

import click

from banstream.values import prefix
from schemas.bounds import TEXT_CHARACTERS

config_option = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The configuration [default: ./banstream.toml if only you and root can write it, then "
    "/etc/banstream/banstream.toml].",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")


class PrefixType(click.ParamType):
    """An address or prefix, in canonical form."""

    name = "prefix"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The canonical form."""
        try:
            return prefix(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: expected {error}", param, ctx)


PREFIX = PrefixType()


class ReasonType(click.ParamType):
    """A text that a record holds."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is."""
        text = str(value)
        if len(text) > TEXT_CHARACTERS:
            self.fail(f"{len(text)} characters; {TEXT_CHARACTERS} at most are kept", param, ctx)
        return text


REASON = ReasonType()
