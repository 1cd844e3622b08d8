"""A draft in the real loader: what it refuses of a jail takes that jail out of the draft, and is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from banstream.config import load_settings
from banstream.doubts import doubts
from banstream.importing.drafts import Draft, JailDraft
from banstream.importing.remarks import KeyPlace, Remark
from schemas.errors import ConfigError

NAME = "banstream.toml"


class Checked(NamedTuple):
    """A draft that the loader takes.

    Attributes:
        lost: the jails that it did not take, and why.
        warnings: what `config check` would warn of.
    """

    draft: Draft
    lost: list[Remark]
    warnings: list[str]


def check(draft: Draft, place: Callable[[str, str], KeyPlace]) -> Checked:
    """What the loader takes of a draft; `place`: where a jail's key stands. ConfigError: none of it."""
    lost: list[Remark] = []
    with TemporaryDirectory(prefix="banstream-import-") as folder:
        file = Path(folder) / NAME
        while draft.jails:
            file.write_text(draft.text(), encoding="utf-8")
            try:
                warnings = list(doubts(load_settings(str(file))))
            except ConfigError as error:
                problems = [each.removeprefix(f"{file}: ") for each in error.problems]
                refused = _by_jail(draft.jails, problems)
                if not refused:
                    raise ConfigError(*problems) from error
                lost += [
                    _lost(jail, refused[jail.name], place) for jail in draft.jails if jail.name in refused
                ]
                draft = draft.without(refused)
            else:
                return Checked(draft, lost, [each.replace(str(file), NAME) for each in warnings])
    return Checked(draft, lost, [])


def write(text: str, file: Path, *, force: bool) -> None:
    """Write a configuration that root's group may read; `force`: over another. Raises ConfigError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    made = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(made, flags | os.O_EXCL, 0o640)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            if force:
                made.replace(file)
            else:
                file.hardlink_to(made)  # whole, or not at all; and never over another
        finally:
            made.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"{file}: is there already; name another, or say --force") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}; name another") from error


def _by_jail(jails: Iterable[JailDraft], problems: Iterable[str]) -> dict[str, list[str]]:
    """What is wrong with which jail: that with the longest name, where one's begins as another's."""
    found: dict[str, list[str]] = {}
    names = sorted((jail.name for jail in jails), key=len, reverse=True)
    for problem in problems:
        for name in names:
            title = f"jail.{name}"
            if problem.startswith((f"{title}.", f"{title} ")):
                found.setdefault(name, []).append(problem.removeprefix(f"{title}."))
                break
    return found


def _lost(jail: JailDraft, problems: list[str], place: Callable[[str, str], KeyPlace]) -> Remark:
    said, at = f"{'; '.join(problems)}; the jail is left out", place(jail.name, "filter")
    return Remark(verdict="lost", jail=jail.name, key="filter", said=said, place=at, counts=jail.counts)
