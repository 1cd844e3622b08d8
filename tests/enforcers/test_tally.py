"""How many prefixes are held, without going through them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from enforcers.standing import Ends, packed
from enforcers.tally import Tally

ENDS = st.sampled_from([(), (((), None),), (((), 5_000),), (((), 7_500),), (((22,), 9_000), ((), 3_000))])


@given(st.lists(st.tuples(st.integers(0, 3), ENDS, st.integers(0, 3_000)), max_size=30))
def test_it_is_what_counting_would_give_to_the_second(changes: list[tuple[int, Ends, int]]) -> None:
    """Whatever is held and let go, in whatever order, while time passes."""
    tally, held, now_ms = Tally(), dict[int, Ends](), 0
    for prefix, ends, passed_ms in changes:
        now_ms += passed_ms
        tally.change(packed(held.get(prefix, ())), packed(ends))
        held[prefix] = ends
        second_ms = now_ms // 1_000 * 1_000
        last = [[end for _, end in each] for each in held.values() if each]
        assert tally.at(now_ms) == sum(None in each or max(filter(None, each)) > second_ms for each in last)
