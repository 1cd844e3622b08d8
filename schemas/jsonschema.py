"""JSON Schemas of the records, for those who read the topics with other tools.

Generated from the dataclasses: the types say what is valid, the docstrings' Attributes what it means. A
schema accepts what the codec reads: fields that it does not know are no error. Dialect: JSON Schema 2020-12
(https://json-schema.org/draft/2020-12/schema).

`python -m schemas.jsonschema [DIRECTORY]` writes one file a record type, by default into schemas/json.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import orjson

from schemas.bounds import MOST_OF_A_PART
from schemas.codec import VERSION
from schemas.fields import INT64
from schemas.records import LINE_CHARACTERS, RECORDS, Record

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DIRECTORY: Final = Path(__file__).parent / "json"

SCALARS: Final[Mapping[Any, Schema]] = MappingProxyType(
    {
        int: {"type": "integer", "minimum": -INT64, "maximum": INT64 - 1},
        str: {"type": "string"},
        bool: {"type": "boolean"},
    }
)
PREFIX: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f:.]+(/[0-9]{1,3})?$"}
SPECIAL: Final[Mapping[str, Schema]] = MappingProxyType(
    {
        "ip": {"type": "string", "pattern": "^[0-9a-f:.]+$"},
        "prefix": PREFIX,
        "prefixes": {"type": "array", "maxItems": MOST_OF_A_PART, "items": PREFIX},
    }
)
CANONICAL: Final = "Canonical: RFC 5952, dotted quad for IPv4."
INSTANT: Final = "Unix milliseconds, UTC."
DURATION: Final = "Milliseconds."

ENTRY: Final = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
NEXT_NAME: Final = re.compile(r"; `(\w+)`: ")


def schema_of(record_type: type[Record]) -> Schema:
    """The JSON Schema of a record type, as a dict."""
    body = _object_of(record_type)
    return {
        "$schema": DIALECT,
        "$id": f"urn:banstream:record:{record_type.TYPE}:{VERSION}",
        "title": record_type.__name__,
        **body,
        "properties": {
            "type": {"const": record_type.TYPE},
            "v": {"type": "integer", "minimum": 1, "maximum": VERSION},
            **body["properties"],
        },
        "required": ["type", "v", *body["required"]],
    }


def rendered(record_type: type[Record]) -> bytes:
    """The schema's file: indented JSON with a newline at its end."""
    return orjson.dumps(schema_of(record_type), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def file_name(record_type: type[Record]) -> str:
    """The name of the schema's file."""
    return f"{record_type.TYPE}.schema.json"


def main(arguments: list[str]) -> None:
    """Write every schema into the directory that is named, or into schemas/json."""
    directory = Path(arguments[0]) if arguments else DIRECTORY
    directory.mkdir(exist_ok=True)
    for record_type in RECORDS:
        (directory / file_name(record_type)).write_bytes(rendered(record_type))


def _object_of(record_type: type[Any]) -> Schema:
    """What a dataclass is on the wire: an object, with what its docstring says of it."""
    doc = cleandoc(record_type.__doc__ or "")
    meanings = _meanings(doc)
    hints = get_type_hints(record_type, include_extras=True)
    fields = [field for field in dataclasses.fields(record_type) if field.name != "extra"]
    return {
        "description": " ".join(doc.partition("\n\nAttributes:")[0].split()),
        "type": "object",
        "properties": {
            field.name: _property(field.name, hints[field.name], meanings.get(field.name, ""))
            for field in fields
        },
        "required": [
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ],
    }


def _meanings(doc: str) -> dict[str, str]:
    """What a docstring's Attributes say of each field; an entry may go on to others: "a: ...; `b`: ..."."""
    meanings = {}
    entries = doc.partition("Attributes:\n")[2].replace("LINE_CHARACTERS", str(LINE_CHARACTERS))
    for name, text in ENTRY.findall(entries):
        first, *others = NEXT_NAME.split(" ".join(text.split()))
        meanings[name] = first
        meanings.update(zip(others[::2], others[1::2], strict=True))
    return meanings


def _property(name: str, hint: Any, meaning: str) -> Schema:
    schema = dict(_schema_for(hint) if name not in SPECIAL else SPECIAL[name])
    if name in SPECIAL and NoneType in get_args(hint):
        schema = _nullable(schema)
    words = " ".join(filter(None, (meaning and f"{meaning.rstrip('.')}.", _unit(name))))
    return {"description": words[0].upper() + words[1:], **schema} if words else schema


def _unit(name: str) -> str:
    if name in SPECIAL:
        return CANONICAL
    if name in {"at_ms", "since_ms", "until_ms"} or name.endswith("_at_ms"):
        return INSTANT
    return DURATION if name.endswith("_ms") else ""


def _schema_for(hint: Any) -> Schema:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(_schema_for(args[0]), args[1])
    if origin is Literal:
        return {"type": "string", "enum": list(args)}
    if origin in {Union, UnionType}:
        return _nullable(_schema_for(next(arg for arg in args if arg is not NoneType)))
    if origin is tuple:
        return {"type": "array", "items": _schema_for(args[0])}
    if origin is not None:
        return {"type": "object"} | ({} if args[1] is Any else _texts(_schema_for(args[1])))
    return SCALARS.get(hint) or _object_of(hint)


def _texts(text: Schema) -> Schema:
    """What holds for the names and the values of an object of texts."""
    return {"propertyNames": text, "additionalProperties": text}


def _bounded(schema: Schema, bounds: msgspec.Meta) -> Schema:
    """A schema with the bounds of its type: msgspec's words for them are not JSON Schema's."""
    most = "maxProperties" if schema["type"] == "object" else "maxLength"
    found = {"minimum": bounds.ge, "maximum": bounds.le, most: bounds.max_length}
    return schema | {word: bound for word, bound in found.items() if bound is not None}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


if __name__ == "__main__":
    main(sys.argv[1:])
