"""What became of one key of another's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

Fate = Literal["translated", "otherwise", "none", "lost"]
"""`otherwise`: it is there, and works in another way; `none`: nothing here does it, and no less is banned for
that; `lost`: what banned before would not ban now."""


class KeyPlace(NamedTuple):
    """Where a key stands; line 0: that is not known."""

    file: Path
    line: int

    def __str__(self) -> str:
        """As compilers say it."""
        return f"{self.file}:{self.line}" if self.line else str(self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What became of a key.

    Attributes:
        jail: whose it is; empty: every jail's, or no jail's.
        said: what it is called here, or why there is nothing and what to do instead.
        counts: it banned before; a jail that was off, and is taken along, did not.
    """

    verdict: Fate
    jail: str
    key: str
    said: str
    place: KeyPlace | None = None
    counts: bool = True

    @property
    def is_lost(self) -> bool:
        """Whether something that banned before would not ban now."""
        return self.verdict == "lost" and self.counts

    @property
    def sentence(self) -> str:
        """In a line: where, what, and what became of it."""
        at = f"{self.place}: " if self.place else ""
        what = f"[{self.jail}] {self.key}".strip() if self.jail else self.key
        return f"{HEADS[self.verdict]}{at}{what}: {self.said}"

    def to_wire(self) -> dict[str, Any]:
        """As `import --json` has it."""
        file, line = (str(self.place.file), self.place.line or None) if self.place else (None, None)
        return {
            "kind": "remark",
            "verdict": self.verdict,
            "jail": self.jail or None,
            "key": self.key,
            "said": self.said,
            "file": file,
            "line": line,
            "counts": self.counts,
        }


HEADS: dict[Fate, str] = {
    "translated": "",
    "otherwise": "OTHERWISE ",
    "none": "NOT TRANSLATED ",
    "lost": "LOST ",
}
