"""What each field of a record may hold on the wire, and what is wrong with a value that it may not.

Made from the records' own types, once, when this module is imported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import orjson

from schemas.addresses import canonical_prefix, is_prefix
from schemas.bounds import MOST_OF_A_PART
from schemas.deciding import OrderStep
from schemas.errors import InvalidMessage
from schemas.records import (
    RECORDS,
    Hold,
)

INT64: Final = 2**63

Check = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class WireField:
    """How one field is read and written.

    Attributes:
        check: returns the field's value from JSON's, or raises InvalidMessage.
        nullable: null stands for None.
        default: what it is when absent; MISSING when it must be there.
    """

    name: str
    check: Check
    nullable: bool
    default: Any


def read(record_type: type[Any], wire: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a dataclass, from a JSON object."""
    values: dict[str, Any] = {}
    for field in FIELDS[record_type]:
        name = field.name
        value = wire.get(name)
        if value is not None:
            values[name] = _checked(field, value)
        elif name not in wire:
            if field.default is dataclasses.MISSING:
                raise InvalidMessage("missing", field=name)
        elif field.nullable:
            values[name] = None
        else:
            raise InvalidMessage("may not be null", field=name)
    return values


def shown(value: Any) -> str:
    """A JSON value within an error: short whatever it is, since the repr of a deep array ends the stack."""
    return f"{type(value).__name__} of {len(value)}" if type(value) in {list, dict} else f"{value!r:.80}"


def _checked(field: WireField, value: Any) -> Any:
    try:
        return field.check(value)
    except InvalidMessage as error:
        inner = f"{field.name}.{error.field}" if error.field else field.name
        raise InvalidMessage(error.reason, field=inner) from error


def _check_int(value: Any) -> int:
    if type(value) is not int:
        raise InvalidMessage(f"expected an integer, not {shown(value)}")
    if not -INT64 <= value < INT64:
        raise InvalidMessage(f"out of the range of 64 bits: {value}")
    return value


def _check_plain(expected: type, words: str) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not expected:
            raise InvalidMessage(f"expected {words}, not {shown(value)}")
        return value

    return check


def _check_literal(choices: tuple[str, ...]) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not str or value not in choices:
            raise InvalidMessage(f"expected one of {', '.join(choices)}, not {shown(value)}")
        return value

    return check


def _check_tuple(check_item: Check) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not list:
            raise InvalidMessage(f"expected an array, not {shown(value)}")
        return tuple(map(check_item, value))

    return check


def check_object(value: Any) -> Any:
    """An object of anything that can be written back: what is nested deeper than JSON is written, cannot."""
    if type(value) is not dict:
        raise InvalidMessage(f"expected an object, not {shown(value)}")
    try:
        orjson.dumps([value])  # as deep as it will be within its record
    except TypeError as error:
        raise InvalidMessage(f"cannot be written back: {error}") from error
    return value


def _check_texts(check_text: Check) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise InvalidMessage(f"expected an object of strings, not {shown(value)}")
        for name, text in value.items():
            check_text(name)
            check_text(text)
        return value

    return check


def _check_bounds(check_type: Check, bounds: msgspec.Meta) -> Check:
    low, high, most = bounds.ge, bounds.le, bounds.max_length

    def check(value: Any) -> Any:
        check_type(value)
        if low is not None and high is not None and not low <= value <= high:
            raise InvalidMessage(f"expected {low} to {high}, not {value}")
        if most is not None and len(value) > most:
            raise InvalidMessage(f"expected a length of {most} at most, not {len(value)}")
        return value

    return check


def _check_record(record_type: type[Any]) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not dict:
            raise InvalidMessage(f"expected an object, not {shown(value)}")
        return record_type(**read(record_type, value))

    return check


def _check_canonical(value: Any) -> str:
    if type(value) is not str:
        raise InvalidMessage(f"expected an address or prefix, not {shown(value)}")
    canonical = canonical_prefix(value)
    if canonical != value:
        raise InvalidMessage(f"expected the canonical form {canonical}, not {shown(value)}")
    return value


def _check_prefixes(value: Any) -> tuple[str, ...]:
    if type(value) is not list or len(value) > MOST_OF_A_PART:
        raise InvalidMessage(f"expected an array of {MOST_OF_A_PART} at most, not {shown(value)}")
    for prefix in value:
        if type(prefix) is not str or not is_prefix(prefix):
            _check_canonical(prefix)
    return tuple(value)


def _check_address(value: Any) -> str:
    if "/" in _check_canonical(value):
        raise InvalidMessage(f"expected an address, not the prefix {shown(value)}")
    return cast("str", value)


CHECKS: Final[Mapping[type, Check]] = MappingProxyType(
    {
        int: _check_int,
        str: _check_plain(str, "a string"),
        bool: _check_plain(bool, "true or false"),
    }
)


def _check_for(hint: Any) -> Check:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _check_bounds(_check_for(args[0]), args[1])
    if origin is Literal:
        return _check_literal(args)
    if origin in {Union, UnionType}:
        return _check_for(next(arg for arg in args if arg is not NoneType))
    if origin is tuple:
        return _check_tuple(_check_for(args[0]))
    if origin is not None:
        return check_object if args[1] is Any else _check_texts(_check_for(args[1]))
    return CHECKS[hint] if hint in CHECKS else _check_record(hint)


def _wire_field(field: dataclasses.Field[Any], hint: Any) -> WireField:
    factory = field.default_factory
    return WireField(
        name=field.name,
        check=SPECIAL_CHECKS.get(field.name) or _check_for(hint),
        nullable=NoneType in get_args(hint),
        default=field.default if factory is dataclasses.MISSING else factory(),
    )


def _fields_of(record_type: type[Any]) -> tuple[WireField, ...]:
    hints = get_type_hints(record_type, include_extras=True)
    return tuple(
        _wire_field(field, hints[field.name])
        for field in dataclasses.fields(record_type)
        if field.name != "extra"
    )


SPECIAL_CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {"ip": _check_address, "prefix": _check_canonical, "prefixes": _check_prefixes}
)
FIELDS: Final[Mapping[type[Any], tuple[WireField, ...]]] = MappingProxyType(
    {record_type: _fields_of(record_type) for record_type in (*RECORDS, Hold, OrderStep)}
)
KNOWN: Final = {
    record_type: {"type", "v", *(field.name for field in fields)} for record_type, fields in FIELDS.items()
}
BY_TYPE: Final = {record_type.TYPE: record_type for record_type in RECORDS}
