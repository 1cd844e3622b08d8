"""What several files of one source say, in as few sentences as people read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

MOST_NAMED: Final = 5
"""As many are named that say the same: whoever may make files under a glob could bury every other warning."""


def gathered(whole: str, told: Iterable[tuple[str, str, int]]) -> Counter[str]:
    """How often what is said: from who, what and how often; of more than MOST_NAMED the first alone is named.

    `whole`: what all of these are of, such as their glob.
    """
    by_text: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for who, text, count in told:
        if count:
            by_text[text][who] += count
    found: Counter[str] = Counter()
    for text, counts in by_text.items():
        if len(counts) <= MOST_NAMED:
            found.update({f"{who}: {text}": count for who, count in counts.items()})
        else:
            found[f"{whole}: of several, {min(counts)} among them: {text}"] = counts.total()
    return found
