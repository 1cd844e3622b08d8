"""Where the expression of a date may begin and end: fail2ban's bounds of words, and its group 1."""

from __future__ import annotations

import re
from typing import Final

FLAGS: Final = re.compile(r"\(\?[a-z]+\)")
GROUP: Final = re.compile(r"(?<!\(\?)(?<!\\)\((?!\?)")
PARTS: Final = re.compile(r"(?P<head>(?:\(\?\w+\))?\^?(?:\(\?\w+\))?)(?P<body>.*?)(?P<tail>\$?)\Z")
FREE_BEGIN: Final = re.compile(r"\(*(?:\(\?\w+\))?(?:\^|\(*\*\*|\((?:\?:)?\^)")
FREE_END: Final = re.compile(r"(?<!\\)(?:\$\)?|\\b|\\s|\*\*\)*)\Z")
STARS_BEGIN: Final = re.compile(r"(\(*(?:\(\?\w+\))?\(*)\*\*")
STARS_END: Final = re.compile(r"(?<!\\)\*\*(\)*)\Z")
TIED_BEGIN: Final = re.compile(r"(?:\(\?\w+\))?(?:\^|\((?:\?:)?\^(?!\|))")
TIED_END: Final = re.compile(r"(?<![\\|])\$\)?\Z")


def bounded(regex: str, *, begin: str = "word", end: bool = True) -> str:
    """An expression with a group 1, between bounds of words or from the line's beginning."""
    regex = regex.strip()
    flags = FLAGS.search(regex)
    if flags is not None:
        regex = regex[: flags.start()] + regex[flags.end() :]
    bound_begin = begin and not FREE_BEGIN.match(regex)
    bound_end = end and not FREE_END.search(regex)
    if not GROUP.search(regex):
        regex = PARTS.sub(r"\g<head>(\g<body>)\g<tail>", regex, count=1)
    if bound_begin:
        regex = (r"^(?:\W{0,2})?" if begin == "line" else r"(?=^|\b|\W)") + regex
    if bound_end:
        regex += r"(?=\b|\W|$)"
    regex = STARS_END.sub(
        r"\1", STARS_BEGIN.sub(r"\1", regex, count=1) if STARS_BEGIN.match(regex) else regex
    )
    return (flags[0] if flags else "") + regex


def begins_line(regex: str) -> bool:
    """Whether an expression is tied to the line's beginning."""
    flags = FLAGS.match(regex)
    return TIED_BEGIN.match(regex, flags.end() if flags else 0) is not None


def ends_line(regex: str) -> bool:
    """Whether an expression is tied to the line's end."""
    return TIED_END.search(regex) is not None
