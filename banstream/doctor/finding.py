"""What a look finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from banstream.config import Settings

Grade = Literal["good", "warning", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: the verdict, what was found, and what to do where it is not good."""

    about: str
    verdict: Grade
    found: str


Examination = Callable[[Settings], Iterator[Finding]]
"""A look at one side of a machine with a configuration; it changes nothing."""
