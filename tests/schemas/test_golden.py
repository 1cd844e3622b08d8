"""The wire format is frozen: what an older version wrote is read, and written again byte for byte."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from schemas.codec import decode, decode_frame, encode, encode_frame
from schemas.fields import BY_TYPE
from schemas.records import Record
from tests.schemas.examples import EXAMPLES

GOLDEN = Path(__file__).parent / "golden"
PAIRS = [pytest.param(pair, id=pair[0].TYPE) for pair in EXAMPLES]


def golden(record: Record) -> list[bytes]:
    """The frozen lines of a record's type."""
    return (GOLDEN / f"{record.TYPE}.ndjson").read_bytes().removesuffix(b"\n").split(b"\n")


@pytest.mark.parametrize("pair", PAIRS)
def test_the_frozen_lines_are_read(pair: tuple[Record, Record]) -> None:
    """Each frozen line decodes to the record that was built in code."""
    assert [decode(line) for line in golden(pair[0])] == list(pair)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_same_bytes_are_written(pair: tuple[Record, Record]) -> None:
    """Each record encodes to its frozen line, and the two to the frozen frame."""
    assert [encode(record) for record in pair] == golden(pair[0])
    assert decode_frame(encode_frame(pair)) == list(pair)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_full_example_sets_every_field(pair: tuple[Record, Record]) -> None:
    """In the second example no field is at its default, so that each field's form is frozen.

    A field that two examples exclude from each other, as for a ban without end, is set in either.
    """
    for field in dataclasses.fields(pair[1]):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        assert any(getattr(record, field.name) != default for record in pair), field.name


def test_every_record_type_is_frozen() -> None:
    """There is a golden file for each record type, and for nothing else."""
    assert {file.stem for file in GOLDEN.iterdir()} == set(BY_TYPE)
    assert {pair[0].TYPE for pair in EXAMPLES} == set(BY_TYPE)
