"""Hostile lines, built from a filter's own samples: foreign addresses in everything that a client writes.

What a client writes in a sample is what its pattern captures as a user, a free text or another field. It is
replaced by pieces of the service's own lines with a foreign address in them, written as the service would
write it: JSON escapes what it must, quoted values escape quotes, columns without quotes have no blanks.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import orjson

from producers.filters import NativeFilter
from producers.filters.entries import Entry, json_object
from producers.filters.native.compiler import AGAIN, FieldsPattern, LinePattern
from producers.filters.samples import FORMS, Sample

FOREIGN = "203.0.113.66"
TRUSTED = {"ip", "port", "time", "utc", "session", "date", "path", "pam_service", "event"}
COLUMNS = {"iis"}
"""Whose logs' columns have no quotes and no blanks: IIS writes a `+` for one."""
GLUE = (
    "",
    " ",
    ": ",
    ", ",
    "' ",
    '" ',
    "] ",
    ") ",
    "; ",
    "> ",
    "\t",
    "=",
    "'",
    '"',
    "\\",
    "]: ",
    "\\n",
    "\x1b[0m",
    "\r",
    "\0",
    "\ufffd",
    " sshd[1]: ",
    "::ffff:",
    "%eth0",
    " | ",
)


def hostile_lines(filter_: NativeFilter, sample: Sample, chance: random.Random) -> Iterator[str]:
    """Endless: the sample with what a client writes replaced, as its log would hold it."""
    program = filter_.programs[0] if filter_.programs else "x"
    text = sample.text
    template = (
        "{line}" if sample.whole else FORMS[chance.choice(list(FORMS))].format(program=program, line="{line}")
    )
    spans = client_spans(filter_, text)
    while spans:
        yield template.replace("{line}", replaced(filter_, text, spans, chance))


def borrowed_lines(sampled: list[tuple[NativeFilter, Sample]], chance: random.Random) -> Iterator[str]:
    """Endless: samples in which a client wrote a line of another service, with a foreign address in it."""
    others = [_foreign(sample.text.replace("\n", " ")) for _, sample in sampled]
    places = [
        (filter_, sample, spans)
        for filter_, sample in sampled
        if (spans := client_spans(filter_, sample.text))
    ]
    while places:
        filter_, sample, spans = chance.choice(places)
        start, end, how = chance.choice(spans)
        word = chance.choice(GLUE) + chance.choice(others) + chance.choice(GLUE)
        text = sample.text[:start] + written_as(how, word) + sample.text[end:]
        program = filter_.programs[0] if filter_.programs else "x"
        template = "{line}" if sample.whole else FORMS["rfc 3164"]
        yield "\n".join(template.format(program=program, line=line) for line in text.split("\n"))


def repeating_lines(filter_: NativeFilter, sample: Sample) -> Iterator[str]:
    """The sample with names that go on as its own line does, at every place where the line has the name.

    A log's prefix may hold a name that the message holds too, and no pattern need capture it there. What
    is a value of JSON, a column of a CSV or a text in quotes is left alone: such a name cannot end it.
    """
    escaped = {
        sample.text[start:end] for start, end, how in client_spans(filter_, sample.text) if how != "plain"
    }
    program = filter_.programs[0] if filter_.programs else "x"
    template = "{line}" if sample.whole else FORMS["rfc 3164"]
    *above, last = [template.format(program=program, line=line) for line in sample.text.split("\n")]
    foreign = _foreign(last)
    how = "plain" if json_object(last.encode()) is None else "json"
    for name in {say.user for say in sample.says if say.user} - escaped:
        if f',"{name}",' in last:
            continue
        for place in re.finditer(re.escape(name), foreign):
            for end in range(foreign.find(FOREIGN, place.start()) + len(FOREIGN), len(foreign) + 1):
                word = foreign[place.start() : end]
                if FOREIGN in word:
                    yield "\n".join([*above, last.replace(name, written_as(how, word))])


def client_spans(filter_: NativeFilter, text: str) -> list[tuple[int, int, str]]:
    """Where a client's words stand in a sample, and how the service writes them."""
    lines = text.split("\n")
    offset, found = 0, set()
    for line in lines:
        entry = Entry(line.encode(), line.encode())
        for pattern in filter_.rules.patterns:
            if isinstance(pattern, LinePattern):
                found |= {(offset + a, offset + b, how) for a, b, how in _of_line(pattern, line)}
            elif pattern.find(entry, own=True) is not None:
                found |= {(offset + a, offset + b, how) for a, b, how in _of_fields(pattern, line)}
        offset += len(line) + 1
    if filter_.name in COLUMNS:
        return sorted((start, end, "word") for start, end, _ in found)
    return sorted(found)


def replaced(
    filter_: NativeFilter, text: str, spans: list[tuple[int, int, str]], chance: random.Random
) -> str:
    """The sample with one or two of its client's words replaced by hostile ones."""
    for start, end, how in sorted(
        chance.sample(spans, min(len(spans), chance.choice((1, 1, 2)))), reverse=True
    ):
        word = hostile(filter_, text, chance)
        text = text[:start] + written_as(how, word) + text[end:]
    return text


def hostile(filter_: NativeFilter, text: str, chance: random.Random) -> str:
    """Words with a foreign address: pieces of this sample and of others, and what may join them."""
    other = chance.choice(filter_.samples).text.replace("\n", " ")
    pieces = [
        _foreign(text),
        _foreign(other),
        FOREIGN,
        f"[{FOREIGN}]",
        f"from {FOREIGN}",
        f"{FOREIGN}:1",
        "x",
        "-",
    ]
    words = []
    for _ in range(chance.randint(1, 4)):
        piece = chance.choice(pieces)
        start = chance.randint(0, len(piece)) if chance.random() < 0.7 else 0
        words += [
            piece[start : chance.choice((None, chance.randint(start, len(piece))))],
            chance.choice(GLUE),
        ]
    return "".join(words).replace("\n", " ")


def written_as(how: str, word: str) -> str:
    """A client's words as a service writes them at that place."""
    if how == "json":
        return orjson.dumps(word.encode("utf-8", "replace").decode("utf-8", "replace")).decode()[1:-1]
    if how == "quoted":
        return word.replace("\\", "\\\\").replace('"', '\\"')
    if how == "word":
        return re.sub(r"[\s\"]", "_", word) or "-"
    return word


def _foreign(text: str) -> str:
    return re.sub(r"\b192\.0\.2\.7\b|2001:db8::7", FOREIGN, text)


def _of_line(pattern: LinePattern, line: str) -> Iterator[tuple[int, int, str]]:
    found = pattern.own.fullmatch(line.encode()) or pattern.expression.fullmatch(line.encode())
    if found is None:
        return
    for name in found.groupdict():
        start, end = found.span(name)
        if name.partition(AGAIN)[0] in TRUSTED or start < 0:
            continue
        quoted = line[start - 1 : start] == '"' and line[end : end + 1] == '"'
        bare = pattern.rule.shape == "clf" and not quoted
        yield start, end, "word" if bare else "quoted" if quoted and pattern.rule.shape == "clf" else "plain"
    if pattern.rule.shape == "clf":
        for quotes in re.finditer(r'"((?:[^"\\]|\\.)*)"', line):
            if quotes.start() > line.index("]") and not re.match(r"[A-Z]+ /", quotes[1]):
                yield quotes.start(1), quotes.end(1), "quoted"


def _of_fields(pattern: FieldsPattern, line: str) -> Iterator[tuple[int, int, str]]:
    trusted = {key for name, keys in pattern.keys.items() if name in {"ip", "port", "time"} for key in keys}
    trusted |= {key for key, text in pattern.where if "(?P<ip>" in text}
    decided = {key for key, _ in pattern.where}
    if pattern.rule.shape == "kv":
        for pair in re.finditer(r'([\w.-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))', line):
            if pair[1] not in trusted | decided:
                yield (*pair.span(2), "quoted") if pair[2] is not None else (*pair.span(3), "word")
        return
    value = json_object(line.encode()) or {}
    for path, text in _texts(value):
        if path not in trusted | decided and (at := line.find(f'"{text}"')) >= 0:
            yield at + 1, at + 1 + len(text), "json"


def _texts(value: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _texts(inner, f"{above}{key}.")
        elif isinstance(inner, str) and inner:
            yield f"{above}{key}", inner
