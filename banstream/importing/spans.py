"""fail2ban's times: sums and products of time abbreviations, such as `1d 12h`, `60*60*24`, `1w - 1d`.

Source: the TIME ABBREVIATION section of jail.conf(5): abbreviations may stand in a mathematical expression,
and parts without an operator between them add up. They are parsed here, never evaluated.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Final

from schemas.durations import parse_duration

EXPECTED: Final = 'a time such as "10m", "1d 12h" or 60*60'
LONGEST: Final = 200
WITH_UNIT: Final = re.compile(r"\d+(?:\.\d+)?\s*[a-z]+(?:\s*\d+(?:\.\d+)?\s*[a-z]+)*", re.IGNORECASE)
SIDE_BY_SIDE: Final = re.compile(r"(\d)\s+(?=\d)")
OPERATORS: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def seconds(text: str) -> float:
    """The seconds that a time of fail2ban's means; negative ones too. ValueError: it is none."""
    if len(text) > LONGEST:
        raise ValueError(EXPECTED)
    try:
        plain = WITH_UNIT.sub(lambda found: f"{parse_duration(found[0]) / 1_000:f}", text)
        return _value(ast.parse(SIDE_BY_SIDE.sub(r"\1+", plain.strip()), mode="eval").body)
    except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ValueError(EXPECTED) from error


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left), _value(right))
        case _:
            raise ValueError(EXPECTED)
