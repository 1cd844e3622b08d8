"""Jails that wait: something is wrong with each, and it harms no other."""

from __future__ import annotations

from dataclasses import dataclass, field

from banstream.jails import JailSettings
from banstream.lacks import Glimpse, Lack
from banstream.show import printable

MORE = "; `banstream config check` has all of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJail:
    """A jail with which something is wrong.

    Attributes:
        place: where it stands among all jails that are enabled.
        problems: what is wrong, each a sentence, one at least.
        settings: what could be read of it.
        lacks: what it lacks on this machine.
        wrong: keys of its own that are wrong, so nothing but another configuration puts it right.
        keeps: it goes on by the last rules of it that were right.
        reads: and its logs are read as before.
        looked: how what it lacks looked when it was found to; None: look again.
    """

    place: int
    problems: tuple[str, ...]
    settings: JailSettings
    lacks: tuple[Lack, ...] = ()
    wrong: frozenset[str] = frozenset()
    keeps: bool = False
    reads: bool = False
    looked: Glimpse | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The jail's."""
        return self.settings.rules.name

    @property
    def heals(self) -> bool:
        """Whether it goes on by itself, when what it lacks is there."""
        return bool(self.lacks) and not self.wrong

    @property
    def is_promising(self) -> bool:
        """Whether it names what it waits for, so that a start with nothing else makes sense."""
        return self.heals and any(lack.kind != "place" for lack in self.lacks)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingStatus:
    """What a role says of a jail that waits.

    Attributes:
        jail: its name.
        said: what is wrong, what that means, and what to do, for people.
        problems: all that is wrong.
        heals: it goes on by itself, when what it lacks is there.
        keeps: it goes on by the last rules of it that were right, and they are part of those in force.
    """

    jail: str
    said: str
    problems: tuple[str, ...]
    heals: bool
    keeps: bool


def status_of(waiting: WaitingJail, version: str | None) -> WaitingStatus:
    """What is to be said of a waiting jail; `version`: of the rules in force, where the role has any."""
    name = printable(waiting.name)
    first = printable(waiting.problems[0]) + (MORE if len(waiting.problems) > 1 else "")
    if waiting.reads and version is None:
        state = f"jail {name} is read, and counted by the rules in force"
    elif not waiting.keeps:
        state = f"jail {name} waits, and bans nobody"
    elif waiting.reads:
        state = f"jail {name} goes on as it was before"
    else:
        state = f"jail {name} waits: what it counted and banned stays, and nothing is read for it"
    if waiting.keeps and version is not None:
        state += f" (rules {version} have its last good ones)"
    todo = "it goes on by itself once that is put right" if waiting.heals else "put it right, and reload"
    return WaitingStatus(
        jail=waiting.name,
        said=f"{state}: {first}; {todo}",
        problems=waiting.problems,
        heals=waiting.heals,
        keeps=waiting.keeps,
    )
