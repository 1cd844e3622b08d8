"""Nobody escapes: whatever a client calls himself, his failure is read, and is his."""

from __future__ import annotations

import string
from collections.abc import Iterator
from datetime import UTC

import pytest

from producers.filters import NativeFilter, every_filter
from producers.filters.native.definition import WORDS
from producers.filters.samples import CLOCK, FORMS, Sample
from producers.stamps import Stamps
from tests.producers.filters.hostile import FOREIGN, client_spans, written_as

FILTERS = [each for each in every_filter() if each.engine is None]
SIGNS = [each for each in string.printable if each.isprintable() and not each.isalnum()]
FIXED = {"Anonymous"}
"""Names that the service writes itself."""


def named(filter_: NativeFilter, sample: Sample, sign: str) -> Iterator[str]:
    """The sample's lines with a sign, or a text, in each of its users' names, as the service would write."""
    users = {said.user for said in sample.says if said.user} - FIXED
    program = filter_.programs[0] if filter_.programs else "x"
    template = "{line}" if sample.whole else FORMS["rfc 3164"]
    for start, end, how in client_spans(filter_, sample.text):
        user = sample.text[start:end]
        if user in users:
            name = user[:-1] + written_as(how, sign) + user[-1:]
            text = sample.text[:start] + name + sample.text[end:]
            yield "\n".join(template.format(program=program, line=line) for line in text.split("\n"))


def escapes(filter_: NativeFilter, sample: Sample, sign: str) -> bool:
    """Whether a sample's attempt is missed, or is another's, with a sign in its user's name."""
    for lines in named(filter_, sample, sign):
        rows = filter_.matcher(Stamps(UTC)).scan(f"{lines}\n".encode(), CLOCK)
        if [row[2] for row in rows] != [said.ip for said in sample.says]:
            return True
    return False


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda each: each.name)
def test_every_name_is_read_but_for_what_the_filter_lists(filter_: NativeFilter) -> None:
    """Each printable sign, 8 KB, another's address: what keeps a line from being read is in its `names`."""
    samples = [each for each in filter_.samples if each.says]
    texts = [*SIGNS, "x" * 8_192, *([] if filter_.definition.names == WORDS else [FOREIGN])]
    missed = {sign for sign in texts for sample in samples if escapes(filter_, sample, sign)}
    if filter_.definition.names == WORDS:
        assert missed
    else:
        assert missed == set(filter_.definition.names)
