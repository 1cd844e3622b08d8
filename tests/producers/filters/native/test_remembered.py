"""What the analysis of expressions found is kept from one start to the next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from producers.filters import literals
from producers.filters.literals import required_literals
from producers.filters.native.compiler import Pattern, compile_rules
from producers.filters.native.definition import parse_definition
from producers.filters.native.remembered import with_needles
from producers.filters.rows import Needle, Needles

TEXT = """
[json]
ip = "ip"
[[failed]]
lines = ['login of {user} from {ip} failed', '{ip}{int}']
[[failed]]
json = { msg = 'no entry \\w+' }
"""


def patterns(text: str = TEXT) -> Sequence[Pattern]:
    """Of a filter just read."""
    return compile_rules(parse_definition("x", text, "x.toml"))


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The expressions that are looked at."""
    seen: list[bytes] = []

    def looked_at(expression: bytes, flags: int, *, but: frozenset[str]) -> Needles | None:
        seen.append(expression)
        return required_literals(expression, flags, but=but)

    monkeypatch.setattr(literals, "required_literals", looked_at)
    return seen


def test_a_second_start_takes_what_the_first_found(tmp_path: Path, analysed: list[bytes]) -> None:
    """Every pattern's needles, and that one has none, without a look at an expression."""
    first, second = patterns(), patterns()
    with_needles(first, tmp_path / "made")
    found = [each.needles for each in first]
    assert found[0] == frozenset({Needle(b"login of ")})
    assert found[1] is None
    assert len(analysed) == 3
    with_needles(second, tmp_path / "made")
    assert [each.needles for each in second] == found
    assert len(analysed) == 3


def test_what_is_new_is_analysed_and_what_is_gone_is_forgotten(tmp_path: Path, analysed: list[bytes]) -> None:
    """A changed expression is another one; one file is kept."""
    with_needles(patterns(), tmp_path)
    for _ in range(2):
        with_needles(patterns(TEXT.replace("login", "Anmeldung")), tmp_path)
    assert len(analysed) == 4
    assert len(list(tmp_path.iterdir())) == 1
    with_needles(patterns(), tmp_path)
    assert len(analysed) == 5


@pytest.mark.parametrize(
    "kept", [b"", b"{", b"[]", b'{"x": 5}', b'{"x": [["a", false, 1]]}', b'{"x": [[5, true]]}']
)
def test_a_file_that_is_none_counts_for_nothing(tmp_path: Path, analysed: list[bytes], kept: bytes) -> None:
    """All is found anew, and the file is written anew."""
    with_needles(patterns(), tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(kept)
    with_needles(patterns(), tmp_path)
    assert len(analysed) == 6
    assert file.read_bytes() == whole


def test_where_nothing_can_be_written_all_is_found_each_time(tmp_path: Path, analysed: list[bytes]) -> None:
    """A folder that is none stops nobody."""
    (tmp_path / "file").touch()
    for _ in range(2):
        with_needles(patterns(), tmp_path / "file")
    assert len(analysed) == 6
