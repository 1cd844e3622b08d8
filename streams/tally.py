"""What a jail may keep of its failing subjects in place of lists of failures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

from schemas.rules import Jail

T = TypeVar("T")


class SubjectTally(ABC, Generic[T]):
    """The subjects of a jail that fail, and what is known of each; `now_s` is its clock, where it has one."""

    now_s = 0
    shape: ClassVar[str] = "e"
    """Under what it is saved (streams.state)."""

    def __init__(self, rules: Jail) -> None:
        self._known: dict[str, T] = {}
        self.rules = rules

    def adopt(self, rules: Jail) -> None:
        """Go on under other rules."""
        self.rules = rules

    @abstractmethod
    def failures_of(self, subject: str) -> list[int]:
        """The failures of a subject that may be evidence, sorted."""

    @abstractmethod
    def newest(self) -> Iterator[tuple[int, str]]:
        """When each subject failed last, and who that is."""

    @abstractmethod
    def load_failures(self, subject: str, failures: list[int]) -> None:
        """Take over what a plain jail has counted."""

    @abstractmethod
    def dumped(self, subject: str) -> list[Any]:
        """What is to be saved of a subject."""

    @abstractmethod
    def load(self, subject: str, *facts: Any) -> None:
        """Put back what was saved."""

    def forget(self, subjects: Iterable[str]) -> None:
        """Nothing of them counts any more."""
        for subject in subjects:
            self._known.pop(subject, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, subject: object) -> bool:
        return subject in self._known
