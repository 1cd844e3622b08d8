"""Hypothesis strategies for every record type, derived from the dataclasses' own types."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Network, IPv6Network
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from schemas.addresses import canonical_address, canonical_prefix
from schemas.fields import INT64, KNOWN
from schemas.records import RECORDS, Record

PATIENT: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine time says nothing about the code."""

texts: Final = st.text(max_size=20)
int64s: Final = st.integers(-INT64, INT64 - 1)
addresses: Final = st.ip_addresses().map(lambda address: canonical_address(str(address)))


@st.composite
def prefixes(draw: st.DrawFn) -> str:
    """A prefix in canonical form, of any length."""
    address = draw(st.ip_addresses())
    length = draw(st.integers(0, address.max_prefixlen))
    network = (IPv4Network if address.version == 4 else IPv6Network)((int(address), length), strict=False)
    return canonical_prefix(str(network))


json_values: Final = st.recursive(
    st.none() | st.booleans() | int64s | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
SPECIAL: Final = {
    "ip": addresses,
    "prefix": prefixes(),
    "prefixes": st.lists(prefixes(), max_size=3).map(tuple),
}
SCALARS: Final[dict[Any, st.SearchStrategy[Any]]] = {int: int64s, str: texts, bool: st.booleans()}


def records(*types: type[Record]) -> st.SearchStrategy[Record]:
    """A record of these types (none: any), with any values that its types allow."""
    return st.one_of(*map(_record_of, types or RECORDS))


def _record_of(record_type: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(record_type, include_extras=True)
    fields = {field.name: _values(field.name, hints[field.name]) for field in dataclasses.fields(record_type)}
    if "extra" in fields:
        unknown = texts.filter(lambda key: key not in KNOWN[record_type])
        fields["extra"] = st.dictionaries(unknown, json_values, max_size=3)
    return st.builds(record_type, **fields)


def _values(name: str, hint: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each kind of type
    origin, args = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return st.none() | _values(name, next(arg for arg in args if arg is not NoneType))
    if name in SPECIAL:
        return SPECIAL[name]
    if origin is Annotated:
        return _bounded(args[0], args[1])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(_values("", args[0]), max_size=3).map(tuple)
    if origin is not None:
        return st.dictionaries(texts, json_values if args[1] is Any else _values("", args[1]), max_size=3)
    return SCALARS[hint] if hint in SCALARS else _record_of(hint)


def _bounded(hint: Any, bounds: msgspec.Meta) -> st.SearchStrategy[Any]:
    """Integers between bounds; of texts and objects, short ones, and now and then the longest."""
    if hint is int:
        return st.integers(bounds.ge, bounds.le)  # type: ignore[arg-type]  # msgspec takes floats, too
    if hint is float:
        return st.floats(bounds.gt, bounds.le, exclude_min=True, allow_nan=False)
    if hint is str and bounds.max_length:
        short = texts.map(lambda text: text[: bounds.max_length])
        return short | st.just("\U0001f600" * bounds.max_length)
    return _values("", hint)
