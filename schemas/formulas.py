"""How long a ban lasts as a formula: fail2ban's `bantime.formula`, parsed and never run as a program.

An expression of Python's over numbers:

| | |
|---|---|
| names | `ban.Time` (the bantime, in seconds), `ban.Count` (how many bans there were before), `banFactor` |
| operators | `+ - * / // % ** << >>`, comparisons, `and or not`, `A if B else C` |
| functions | `min max abs round int float`; `exp log log2 log10 sqrt pow floor ceil`, also as `math.exp` |

What is larger than any duration is as long as may be.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

MOST_CHARACTERS: Final = 500
MOST_SHIFT: Final = 1_000
Number = int | float
BanFacts = Mapping[str, Number]
Computed = Callable[[BanFacts], Number]

_NAMES: Final = frozenset({"ban.Time", "ban.Count", "banFactor"})
_OPERATORS: Final[Mapping[type[ast.AST], Callable[[Number, Number], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
    ast.LShift: lambda number, by: math.ldexp(_whole(number), _shift(by)),
    ast.RShift: lambda number, by: _whole(number) >> _shift(by),
}
_COMPARISONS: Final[Mapping[type[ast.AST], Callable[[Number, Number], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_SIGNS: Final[Mapping[type[ast.AST], Callable[[Number], Number]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
_FUNCTIONS: Final[Mapping[str, Any]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "int": int,
    "float": float,
    **{name: getattr(math, name) for name in ("exp", "log", "log2", "log10", "sqrt", "pow", "floor", "ceil")},
}
_TAKES: Final[Mapping[str, tuple[int, int]]] = {"min": (2, 9), "max": (2, 9), "pow": (2, 2), "log": (1, 2)}
"""How many arguments a function takes, where it is not one."""


class Formula(NamedTuple):
    """A formula that was parsed."""

    computed: Computed

    def lasting_s(self, bantime_s: float, earlier: int, factor: float) -> float | None:
        """How long a ban lasts in seconds; infinite where too long to say, None where it is no number."""
        named = {"ban.Time": bantime_s, "ban.Count": earlier, "banFactor": factor}
        try:
            lasting = float(self.computed(named))
        except OverflowError:
            return math.inf
        except (ArithmeticError, ValueError, TypeError, RecursionError):
            return None
        return None if math.isnan(lasting) else lasting


@lru_cache(maxsize=256)
def parse_formula(text: str) -> Formula:
    """The formula that a text holds; ValueError, with what is wrong, where it is none."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{MOST_CHARACTERS} characters at most")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return Formula(_computed(tree.body))
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("no expression that can be read") from error


def _computed(node: ast.expr) -> Computed:  # noqa: C901, PLR0911 - one branch for each form there is
    match node:
        case ast.Constant(value=bool() | int() | float() as number):
            return lambda _: number
        case ast.Name(id=name) if name in _NAMES:
            return lambda named: named[name]
        case ast.Attribute(value=ast.Name(id="ban"), attr=part) if f"ban.{part}" in _NAMES:
            return lambda named: named[f"ban.{part}"]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            do, first, second = _OPERATORS[type(op)], _computed(left), _computed(right)
            return lambda named: _bounded(do(first(named), second(named)))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _SIGNS:
            sign, of = _SIGNS[type(op)], _computed(operand)
            return lambda named: sign(of(named))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            condition, then, other = _computed(test), _computed(body), _computed(orelse)
            return lambda named: then(named) if condition(named) else other(named)
        case ast.BoolOp(op=op, values=values):
            return _joined([_computed(value) for value in values], wanted=isinstance(op, ast.Or))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            holds, one, two = _COMPARISONS[type(op)], _computed(left), _computed(right)
            return lambda named: holds(one(named), two(named))
        case ast.Call(func=function, args=arguments, keywords=[]):
            return _called(_name_of(function), [_computed(argument) for argument in arguments])
        case _:
            raise ValueError(f"{ast.unparse(node):.40} is nothing that a formula may hold")


def _name_of(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="math"), attr=name) if name in _FUNCTIONS:
            return name
        case _:
            raise ValueError(f"{ast.unparse(function):.40} is no function of formulas")


def _called(name: str, arguments: list[Computed]) -> Computed:
    least, most = _TAKES.get(name, (1, 1))
    if not least <= len(arguments) <= most:
        raise ValueError(f"{name} does not take {len(arguments)} values")
    function: Callable[..., Number] = _FUNCTIONS[name]
    return lambda named: _bounded(function(*(argument(named) for argument in arguments)))


def _joined(parts: list[Computed], *, wanted: bool) -> Computed:
    def joined(named: BanFacts) -> Number:
        value: Number = not wanted
        for part in parts:
            value = part(named)
            if bool(value) is wanted:
                break
        return value

    return joined


def _bounded(number: Number) -> Number:
    """A number that a duration can be; OverflowError for any other: no expression computes with giants."""
    if abs(number) > 1e30 and not math.isnan(number):  # noqa: PLR2004 - far beyond a thousand years
        raise OverflowError
    return number


def _whole(number: Number) -> int:
    if number != int(number):
        raise ValueError("no whole number")
    return int(number)


def _shift(by: Number) -> int:
    whole = _whole(by)
    if whole < 0:
        raise ValueError("a negative shift")
    return min(whole, MOST_SHIFT)
