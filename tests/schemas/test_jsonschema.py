"""The published JSON Schemas are current, and accept what the codec reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from schemas.codec import encode
from schemas.jsonschema import DIRECTORY, file_name, main, rendered
from schemas.records import RECORDS, AuthEvent, Record
from tests.schemas.examples import EXAMPLES
from tests.schemas.strategies import PATIENT, records

VALIDATORS = {
    record_type.TYPE: Draft202012Validator(orjson.loads((DIRECTORY / file_name(record_type)).read_bytes()))
    for record_type in RECORDS
}
TYPICAL = [pytest.param(pair[0], id=pair[0].TYPE) for pair in EXAMPLES]


def is_valid(record: Record, **changes: Any) -> bool:
    """Whether a record's schema accepts it, with some fields changed on the wire."""
    return VALIDATORS[record.TYPE].is_valid(orjson.loads(encode(record)) | changes)


@pytest.mark.parametrize("record_type", RECORDS, ids=lambda record_type: record_type.TYPE)
def test_the_published_schemas_are_current(record_type: type[Record]) -> None:
    """Each file in schemas/json is what the dataclass gives now: `python -m schemas.jsonschema` writes it."""
    assert (DIRECTORY / file_name(record_type)).read_bytes() == rendered(record_type)


def test_there_is_no_other_schema(tmp_path: Path) -> None:
    """The files are those that the generator writes, and no more."""
    main([str(tmp_path / "json")])
    written = {file.name: file.read_bytes() for file in (tmp_path / "json").iterdir()}
    assert {file.name: file.read_bytes() for file in DIRECTORY.iterdir()} == written


@pytest.mark.parametrize("validator", VALIDATORS.values(), ids=VALIDATORS)
def test_the_schemas_are_schemas(validator: Draft202012Validator) -> None:
    """Each file is itself valid by the dialect it names."""
    Draft202012Validator.check_schema(validator.schema)


@pytest.mark.parametrize("record", [record for pair in EXAMPLES for record in pair], ids=lambda r: r.TYPE)
def test_the_examples_are_valid(record: Record) -> None:
    """Typical and full records are valid."""
    VALIDATORS[record.TYPE].validate(orjson.loads(encode(record)))


@PATIENT
@given(records())
def test_every_record_is_valid(record: Record) -> None:
    """Whatever record the types allow, its schema accepts."""
    assert is_valid(record)


@pytest.mark.parametrize("record", TYPICAL)
def test_every_known_field_is_checked(record: Record) -> None:
    """A value of another type in any known field is invalid, and so is a record without a required one."""
    schema = VALIDATORS[record.TYPE].schema
    assert isinstance(schema, dict)
    for name in schema["properties"]:
        assert not is_valid(record, **{name: [{"a": [1]}]}), name
    for name in schema["required"]:
        wire = orjson.loads(encode(record))
        del wire[name]
        assert not VALIDATORS[record.TYPE].is_valid(wire), name


@pytest.mark.parametrize("record", TYPICAL)
def test_unknown_fields_are_no_error(record: Record) -> None:
    """A newer writer's field is valid, as the codec is tolerant too."""
    assert is_valid(record, brand_new={"x": 1})


def test_addresses_and_integers_have_their_bounds() -> None:
    """A zone, a prefix for an address, capitals, a number or a text beyond its bound are invalid."""
    event = EXAMPLES[0][0]
    assert is_valid(event, ip="2001:db8::1")
    for wrong in ("fe80::1%eth0", "192.0.2.0/24", "2001:DB8::1", ""):
        assert not is_valid(event, ip=wrong), wrong
    assert not is_valid(event, position=2**63)
    assert not is_valid(event, at_ms=-1)
    assert not is_valid(event, user="x" * 1_025)
    assert not is_valid(event, labels={"x" * 257: ""})
    assert not is_valid(event, labels={str(number): "" for number in range(33)})


def test_descriptions_come_from_the_docstrings() -> None:
    """What the docstring says of a field, also in another's entry, is its description, with its unit."""
    schema = VALIDATORS[AuthEvent.TYPE].schema
    assert isinstance(schema, dict)
    said = {name: field.get("description") for name, field in schema["properties"].items()}
    assert said["seen_at_ms"] == "When the producer read the line. Unix milliseconds, UTC."
    assert said["filter"] == "The filter's name."
    assert said["filter_version"] == "A hash of its text."
    assert said["position"].startswith("Where in it, ascending.")
    assert said["line"] == "The line itself, cut at 1024 characters."
    assert schema["description"].startswith("Somebody tried to log in: ")
