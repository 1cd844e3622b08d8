"""A progress bar on stderr for work on files that takes its time; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from producers.offline import MatchedLines

LONG_BYTES = 64 << 20


def progress(batches: Iterator[MatchedLines], files: Sequence[str]) -> Iterator[MatchedLines]:
    """The batches, with a bar while they are worked on where stderr is a terminal and the files are large."""
    total = sum(_size(file) for file in files)
    if total < LONG_BYTES or not sys.stderr.isatty():
        yield from batches
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=total)
        for batch in batches:
            yield batch
            bar.advance(task, len(batch.data))


def _size(file: str) -> int:
    """A file's size in bytes; 0 for standard input, and for what cannot be read: reading will say so."""
    try:
        return Path(file).stat().st_size if file != "-" else 0
    except OSError:
        return 0
