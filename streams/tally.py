"""What a jail may keep of its failing subjects in place of lists of failures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from schemas.rules import Jail


class SubjectTally(ABC):
    """The subjects of a jail that fail; `now_s` is its clock, where it has one."""

    now_s = 0

    @abstractmethod
    def adopt(self, rules: Jail) -> None:
        """Go on under other rules."""

    @abstractmethod
    def failures_of(self, subject: str) -> list[int]:
        """The failures of a subject that may be evidence, sorted."""

    @abstractmethod
    def forget(self, subjects: Iterable[str]) -> None:
        """Nothing of them counts any more."""

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

    @abstractmethod
    def __iter__(self) -> Iterator[str]: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __contains__(self, subject: object) -> bool: ...
