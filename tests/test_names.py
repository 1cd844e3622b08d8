"""One name a thing: no two modules give the same name to a class or a type."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("banstream", "enforcers", "eventlog", "producers", "schemas", "sinks", "streams")


def named(module: Path) -> list[str]:
    """The public classes and types that a module makes."""
    found = []
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                found.append(name)
    return [name for name in found if not name.startswith("_")]


def test_no_two_things_have_one_name() -> None:
    """Whoever reads a name knows which thing it is, without looking where it came from."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for module in sorted((ROOT / package).rglob("*.py")):
            for name in named(module):
                places[name].append(str(module.relative_to(ROOT)))
    assert len(places) > 200
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
