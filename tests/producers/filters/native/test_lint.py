"""Which expressions let a client forge an address, and which do not."""

from __future__ import annotations

import re

import pytest

from producers.filters.native.compiler import LinePattern, compile_rules
from producers.filters.native.definition import parse_definition
from producers.filters.native.lint import dangers, forgery
from producers.filters.native.pieces import expand

SAFE = [
    "no address at all {text}",
    "{ip}",
    "from {ip}",
    "from {ip}{rest}",
    "login from {ip} by {user}: {rest}",
    "[0-9]{1,9} from {ip} {rest}",
    "{user} from {ip}",
    "user {user} from {ip} port {port}",
    "user {user} from {ip}(?: port {port})? ssh2",
    "user {user} from {ip}: [a-z]{1,99}",
    "{word}, client: {ip}, user: {user!, client: }",
    "user {user!, client: }, client: {ip}, {rest!, client: }",
    "user {user! from } from {ip} {rest! from }",
    "{time} {text} from {ip}",
    "{time} from {ip} {rest}",
    r"(?:[\w.*:-]{1,255} )?{ip} - {rest}",
    "(?:a from {ip} {rest}|b at {ip} {rest})",
    "(?:user {user} from {ip}|at {ip})",
    r'"[^"]*" from {ip} {rest}',
    "{int} from {ip} {rest}",
    "{text} from {ip} port {word}",
    "user {user! from } from {ip}: {rest! from }",
    "user {user! from } from {ip}:{rest! from }",
    "user {user!, client: }, client: {ip}, {text!client: }x",
    "user '{user}'(?:, from {ip})?",
    "user {user! from }(?: from {ip})?",
    "(?:from {ip})?: {rest}",
    "user (?>[a-z]{1,9}) from {ip} {rest}",
]
FORGED = [
    "{user} from {ip} {rest}",
    "user {user} from {ip}: {text}",
    "user {user} from {ip} {user}",
    "user {user! from } from {ip} {rest}",
    "user {user} from {ip} {rest! from }",
    "user {user!x} from {ip} {rest!x}",
    "{text}{ip}",
    "{user}{ip}{rest}",
    "a {text}(?:b from {ip}|c at {ip}) {rest}",
    "(?:a from {ip} {rest}|{user} at {ip} {rest})",
    "(?:(?:a|b) {user})? from {ip}(?: x {rest})?",
    r"user (?P<name>.*?) from {ip} (?P<reason>[^\]]*)",
    "user (?:x|{user}) from {ip} {rest}",
    "user .{0,200} from {ip} .{0,200}",
    "user (?>.{0,200}) from {ip}(?>.*)",
    "user .{0,200}+ from {ip} .*+",
    "user {user! from }(?i: from ){ip} {rest! from }",
    "(?i:user [a-z .0-9]{1,99} FROM ){ip} (?i:[a-z .0-9]{1,99})",
    "user (?i:[a-z .0-9]{1,99}) FROM {ip} (?i:[a-z .0-9]{1,99})",
]
OPTIONAL = [
    "user {user}(?: from {ip})?",
    "user {user}(?: from {ip}|)",
    "user {user}(?:| from {ip})",
    "(?:from {ip} )?{rest}",
    "(?:from {ip} )?(?=x){rest}",
    "bad(?: (?:from|at) {ip})?{rest}",
]


@pytest.mark.parametrize("line", SAFE)
def test_an_address_that_only_the_service_wrote_is_safe(line: str) -> None:
    """The first lead is the service's, or the last, or there is but one."""
    assert forgery(apart(line)) is None


@pytest.mark.parametrize("line", FORGED)
def test_an_address_that_a_client_could_write_is_named(line: str) -> None:
    """Free text before the address and after it, neither without what leads to it."""
    problem = forgery(apart(line))
    assert problem is not None
    assert problem.startswith("free text stands both before the address and after it")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{session}: bad {user}", None),
        ("bad {user} in {session}", None),
        ("bad {user! in } in {session} {rest! in }", None),
        ("bad {user} in {session} {rest}", "free text stands both before the session and after it"),
        ("bad {user}(?: in {session})?", "the session need not be there"),
    ],
)
def test_a_session_that_a_client_could_write_is_named(line: str, problem: str | None) -> None:
    """He would have the address of another connection blamed."""
    found = forgery(apart(line))
    assert found is None if problem is None else found is not None and found.startswith(problem)


@pytest.mark.parametrize("line", OPTIONAL)
def test_an_address_that_need_not_be_there_is_no_clients_to_add(line: str) -> None:
    """Where the service wrote none, the free text beside its place could be read as one."""
    problem = forgery(apart(line))
    assert problem is not None
    assert problem.startswith("the address need not be there")


@pytest.mark.parametrize("line", ["(?=.*from {ip}).*", "(?=from {ip})from .*", "(a)?(?(1) from {ip}|b) x"])
def test_an_address_within_an_assertion_is_refused(line: str) -> None:
    """What stands before it and after it cannot be told."""
    assert forgery(apart(line)) == "the address stands within an assertion or a condition"


@pytest.mark.parametrize("shape", ["json", "kv"])
def test_an_address_in_the_text_of_a_value_is_looked_at_as_a_lines(shape: str) -> None:
    """A client's words may stand within the value; a value that is an address is the service's own."""

    def found(value: str) -> list[str]:
        text = f"[[failed]]\n{shape} = {{ status = '401', msg = '''{value}''' }}"
        return list(dangers(parse_definition("x", text, "x.toml")))

    assert [line for line in SAFE if found(line)] == []
    assert [line for line in FORGED if not found(line)] == []
    assert found(FORGED[0])[0].startswith("x, [[failed]] 1: msg: free text stands both before")


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("{time} ", False),
        (r"{time} \[\w+\] ", False),
        (r"{time} \[[^\]]{1,64}\](?: \[[^\]]{1,64}\])?: ", False),
        (r"\[{session}\] {time} ", False),
        (r'{time} "[^"]*" (?:a|b "[^"]*") ', False),
        (r"(?:\[\w+\(\S+:\d+\)\] )?", False),
        (r"(?:[^\[]{0,80}: )?\[x\] ", False),
        (r"(?:(?:[^\[]{0,80}:)? )?\[x\] ", False),
        ("{time} {text}: ", True),
        ("{time} {text!: }: ", True),
        (r"{time} [^\]]{1,64}: ", True),
        ("{time} (?:a|.*) x", True),
        ("(?:{time} .*)? x", True),
        ("{time} .{1,80}", True),
    ],
)
def test_a_header_that_could_go_on_into_the_message_is_named(header: str, named: bool) -> None:  # noqa: FBT001
    """A client's copy of the message behind it would be taken for the message."""
    text = f"headers = ['''{header}''']\n[[failed]]\nline = 'from {{ip}}: {{rest}}'"
    found = list(dangers(parse_definition("x", text, "x.toml")))
    assert ["its free text could go on into the message" in each for each in found] == [True] * named


def apart(line: str) -> str:
    """The expression of a line, as the compiler makes it."""
    text = f"[[failed]]\nline = '''{line}'''"
    (pattern,) = compile_rules(parse_definition("x", text, "x.toml"))
    assert isinstance(pattern, LinePattern)
    return pattern.source


PLAIN = [line for line in SAFE if not set(line) & set("[(")]
WORDS = [
    f"{before}{lead}203.0.113.9{after}"
    for before in ("", "x")
    for lead in ("from ", " from ", ", client: ", ",client: ", " at ", "user x from ")
    for after in ("", ":", ",", " ", " port 1", ", x", ": x", " port 1 ssh2")
]


@pytest.mark.parametrize("line", PLAIN)
def test_what_is_called_safe_believes_no_client(line: str) -> None:
    """Whatever he writes before the service's address and after it: that one is read, or none."""
    expression = re.compile(apart(line).encode(), re.DOTALL)
    before, address, after = line.partition("{ip}")
    read = set()
    for first in WORDS:
        for last in WORDS:
            text = written(before, first) + ("192.0.2.7" if address else "") + written(after, last)
            found = expression.fullmatch(text.encode())
            read.add(None if found is None else found.groupdict().get("ip"))
    assert read <= {None, b"192.0.2.7"}


def written(part: str, word: str) -> str:
    """A part of a line as a service writes it, with a client's words."""
    part = re.sub(r"\{(?:user|text|rest)(?:!.*?)?\}", word, part)
    part = part.replace("{time}", "Nov 22 09:00:00").replace("{word}", re.sub(r"\s", "_", word))
    return part.replace("{int}", "7").replace("{port}", "5")


def test_dangers_name_the_table_and_what_is_wrong() -> None:
    """Forgeries and expressions that may last for ever, of lines and of an object's values."""
    text = """
[[failed]]
line = '{user} from {ip} {rest}'
[[failed]]
line = '(a+)+ {ip}'
[[probed]]
json = { msg = '(?:b|b)*c' }
[[succeeded]]
line = 'ok {ip}'
[json]
ip = "ip"
"""
    found = list(dangers(parse_definition("x", text, "x.toml")))
    assert [each.split(":")[0] for each in found] == [
        "x, [[failed]] 1",
        "x, [[failed]] 2",
        "x, [[probed]] 1",
    ]
    assert "free text" in found[0]
    assert "may take for ever" in found[1]
    assert "may take for ever" in found[2]


def test_an_access_log_and_a_header_are_no_danger() -> None:
    """The layout of an access log, whatever column is asked for, and times in headers."""
    text = """
headers = ['{time} ']
[[probed]]
clf = { path = '/[^ ]*x' }
[[probed]]
clf = { agent = 'a.*' }
[[failed]]
line = 'x {ip}'
"""
    assert list(dangers(parse_definition("x", text, "x.toml"))) == []
    assert "(?P<ip>" in expand("{ip}", {})
