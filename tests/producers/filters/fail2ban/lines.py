"""Streams of lines for a fail2ban filter: written from its expressions, dated in many forms, some spoilt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Final

from producers.filters.fail2ban.expressions import Expression
from producers.filters.fail2ban.rules import CompiledFilter
from tests.producers.filters.fail2ban.written import Writer

NOW_S: Final = 1_795_338_000
SPAN_S: Final = 200 * 86_400
FORMS: Final = (
    "%b %d %H:%M:%S",
    "%b %e %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.123456+00:00",
    "%Y-%m-%d %H:%M:%S,123",
    "%d/%b/%Y:%H:%M:%S +0100",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S.123456 %Y",
    "%d-%b-%Y %H:%M:%S.123",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y:%H:%M:%S",
    "%m-%d-%Y %H:%M:%S.5",
    "%s",
    "%s.123",
    "%y%m%d %H:%M:%S",
    "%H:%M:%S",
    "%b-%d-%y %H:%M:%S",
    "%Y%m%dT%H%M%S",
    "PDT %b %d %H:%M:%S",
    "+02:00 %b %d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "<%m/%d/%y@%H:%M:%S>",
    "%b %d, %Y %I:%M:%S %p",
    "Feb 29 %H:%M:%S",
    "%b 31 %H:%M:60",
)
HOLES: Final = re.compile(r"(?<=\[)(?=\])|(?<=\()(?=\))|(?<=<)(?=>)|(?<=\")(?=\")")
SPOILT: Final = ("", " ", "x", "1.2.3.4", " from 192.0.2.99", "\ufffd", "]", '"')


class Lines:
    """Makes lines for one filter."""

    def __init__(self, compiled: CompiledFilter, seed: int) -> None:
        self._compiled = compiled
        self._random = Random(seed)
        self._writer = Writer(self._random)
        self._sessions = [self._session() for _ in range(3)]

    def stream(self, each: int) -> list[str]:
        """So many texts for each failregex, and some for each ignoreregex, as lines in random order."""
        rules = self._compiled.rules
        texts = [self._text(failure) for failure in rules.failures for _ in range(each)]
        texts += [self._writer.write(ignored.source) for ignored in rules.ignored for _ in range(each // 3)]
        self._random.shuffle(texts)
        return [line for text in texts for line in self._lines(text) if line]

    def _text(self, failure: Expression) -> str:
        text = self._writer.write(failure.source).rstrip("\n")
        prefix = self._compiled.rules.prefix
        if prefix is None:
            return text
        fixed = {"content": text}
        session = self._random.choice(self._sessions)
        if session and self._random.random() < 0.9:
            fixed["mlfid"] = session
        return self._writer.write(prefix.source, fixed)

    def _session(self) -> str:
        """A text for `<F-MLFID>`, so that lines share it."""
        prefix = self._compiled.rules.prefix
        if prefix is None or "mlfid" not in prefix.names:
            return ""
        match = prefix.pattern.search(self._writer.write(prefix.source, {"content": "c"}) + "\n")
        return match["mlfid"] if match else ""

    def _lines(self, text: str) -> Iterator[str]:
        several = self._compiled.maxlines > 1
        for line in text.split("\n") if several else [text.replace("\n", " ")]:
            yield self._spoilt(self._dated(line)).replace("\r", "").replace("\n", " ")
        if several and self._random.random() < 0.2:
            yield "another line"

    def _dated(self, text: str) -> str:
        """A text with a date put in: where a hole waits for it, at the beginning, or anywhere."""
        random = self._random
        date = self._date()
        holes = [hole.start() for hole in HOLES.finditer(text)]
        if holes and random.random() < 0.7:
            at = random.choice(holes)
            return text[:at] + date + text[at:]
        chance = random.random()
        if chance < 0.75:
            return date + random.choice((" ", "", "  ")) + text
        at = random.randint(0, len(text))
        return text if chance < 0.85 else text[:at] + date + text[at:]

    def _date(self) -> str:
        """A date; one that some template of the filter finds, if luck will have it."""
        random = self._random
        templates = self._compiled.templates
        date = ""
        for _ in range(6):
            if random.random() < 0.5:
                moment = datetime.fromtimestamp(NOW_S - random.randrange(SPAN_S), UTC)
                date = moment.strftime(random.choice(FORMS))
            else:
                date = self._writer.write(random.choice(templates).expression.pattern)
            if any(template.expression.search(date) for template in templates):
                break
        return date

    def _spoilt(self, line: str) -> str:
        random = self._random
        if random.random() < 0.8:
            return line
        at = random.randint(0, len(line))
        return line[:at] + random.choice(SPOILT) + line[at + random.randint(0, 2) :]
