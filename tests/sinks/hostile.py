"""Text that attackers write, as it may stand in users, lines, hosts and reasons."""

from __future__ import annotations

from hypothesis import strategies as st

FRAGMENTS = (
    "\r\nBcc: victim@example.org", "\n", "\r", "\0", "\t", "\x1b[2J\x1b[31m", "\x9b31m", "\u202e", "\u2028",
    '"', "'", "\\", "]", "|", "=", "^", ",", ";", "`id`", "$(id)", "; rm -rf /", "-rf", "--help", "<ip>",
    "<script>", "&amp;", "{", "}", '","kind":"succeeded', " user=root ", "=cmd|'/c calc'!A1", "+1", "@SUM(1)",
    "src=192.0.2.1", "cs1=x", ']] [x@1 a="b"]', "\ufeff", "\U0001f600", "\ud7ff", "é", "漢", ".", "\r\n.\r\n",
)  # fmt: skip
hostile_text = st.lists(
    st.one_of(st.sampled_from(FRAGMENTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    max_size=6,
).map("".join)
