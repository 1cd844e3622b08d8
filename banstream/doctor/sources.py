"""Whether the logs can be read, are those that the filters are for, and have times that can be right."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from banstream.config import Settings
from banstream.doctor.finding import Finding
from banstream.jails import JailSettings
from banstream.show import counted
from banstream.watches import form_of_file
from producers.filters import Filter, NativeFilter, load_filter
from producers.offline import match_files
from producers.sources import check_source, missing_files
from producers.sources.folders import matching_files
from schemas.errors import BanstreamError

FILE: Final = "file:"
TAIL_BYTES: Final = 1 << 20
MOST_FILES: Final = 20
"""Of all sources together the newest ones; a glob may name thousands."""
AHEAD_MS: Final = 60_000


def look_at_sources(settings: Settings) -> Iterator[Finding]:
    """Each source once; then, of each jail, what its filters find in the last lines of its files."""
    for spec in dict.fromkeys(source for jail in settings.jails for source in jail.sources):
        problems = check_source(spec)
        if problems or not missing_files(spec):  # of what is missing banstream.doubts has warned
            yield Finding("source", "bad" if problems else "good", "; ".join([spec, *problems]))
    for jail in settings.jails:
        if not jail.auto:
            yield from _found_in(jail, settings)


def _found_in(jail: JailSettings, settings: Settings) -> Iterator[Finding]:
    """Whether a jail's filters read anything in the last lines of its files."""
    filters = [load_filter(name) for name in jail.rules.filters]
    files = [file for spec in jail.sources if spec.startswith(FILE) for file in newest_files(spec)]
    if not files:
        return
    about = f"jail {jail.rules.name}"
    lines, events, known = 0, 0, False
    for file in files:
        try:
            tail = tail_of(file)
            found, ahead_ms = _matched(file, tail, filters, settings)
        except (OSError, BanstreamError):
            continue
        lines += tail.count(b"\n")
        events += found
        known = known or _speaks(tail, filters)
        if ahead_ms > AHEAD_MS:
            yield Finding(
                about,
                "warning",
                f"the last times in {file} are {ahead_ms // 1_000} s ahead of this machine's clock: who "
                f"writes it has another time zone; say which with timezone of [jail.{jail.rules.name}]",
            )
    where = str(files[0]) if len(files) == 1 else f"{len(files)} files"
    if events:
        yield Finding(about, "good", f"{counted(events, 'event')} in the last {lines} lines of {where}")
    elif lines and not known:
        yield Finding(
            about,
            "warning",
            f"nothing in the last {lines} lines of {where} is of {', '.join(jail.rules.filters)}; is it the "
            "right file? `banstream match --coverage FILE` shows what is in it",
        )
    else:
        yield Finding(about, "good", f"no failure in the last {lines} lines of {where}")


def newest_files(spec: str) -> list[Path]:
    """The newest files of a source."""
    found = [file for file in matching_files(spec.removeprefix(FILE)) if file.is_file()]
    return sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)[:MOST_FILES]


def tail_of(file: Path) -> bytes:
    """The last whole lines of a file."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - TAIL_BYTES))
        data = opened.read(TAIL_BYTES)
    begin = data.find(b"\n") + 1 if size > TAIL_BYTES else 0
    return data[begin : data.rfind(b"\n") + 1]


def _matched(file: Path, tail: bytes, filters: Sequence[Filter], settings: Settings) -> tuple[int, int]:
    """How many events are in a file's last lines, and how far the newest is ahead of its last change."""
    changed_ms = int(file.stat().st_mtime * 1_000)
    zone, _ = form_of_file(str(file), settings.jails)
    events, newest_ms = 0, 0
    descriptor = os.memfd_create("banstream-doctor")
    try:
        os.write(descriptor, tail)
        for batch in match_files([f"/proc/self/fd/{descriptor}"], filters, changed_ms, zone=zone):
            for rows in batch.rows:
                events += len(rows)
                newest_ms = max([newest_ms, *(row[1] for row in rows)])
    finally:
        os.close(descriptor)
    return events, newest_ms - changed_ms if events else 0


def _speaks(tail: bytes, filters: Sequence[Filter]) -> bool:
    """Whether a line names a program that one of the filters reads; where that is not known it may."""
    programs = [
        program
        for each in filters
        for program in (each.definition.programs if isinstance(each, NativeFilter) else ("",))
    ]
    return not programs or any(program.encode() in tail for program in programs)
