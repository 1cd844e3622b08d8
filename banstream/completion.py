"""What a shell completes: values that are known before a command runs."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from producers.library import AUTO, library_names


def complete_filter(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The library's filters, and files: a filter may be one of those."""
    del ctx, param
    names = [CompletionItem(name) for name in (AUTO, *library_names()) if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]
