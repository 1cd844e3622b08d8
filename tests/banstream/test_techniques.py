"""Which technique of MITRE ATT&CK an event is a sign of: as its filter's table says, else its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from banstream.techniques import Techniques
from producers.filters import every_filter
from schemas.techniques import TECHNIQUES
from tests.sinks.following import failed

LIMITED = (
    '2026/11/22 09:00:00 [error] 7#7: *1 limiting requests, excess: 5.9 by zone "one", client: 192.0.2.7, '
    'server: a, request: "GET / HTTP/1.1", host: "a"'
)
FORBIDDEN = (
    "2026/11/22 09:00:00 [error] 7#7: *1 access forbidden by rule, client: 192.0.2.7, "
    'server: a, request: "GET / HTTP/1.1", host: "a"'
)
OWN = """
technique = "T1133"
[[failed]]
line = 'no {user} from {ip}'
technique = "T1078"
[[failed]]
line = 'bad handshake from {ip}'
[[sample]]
line = 'bad handshake from 192.0.2.7'
says = ["failed", "192.0.2.7"]
[[sample]]
line = 'no bob from 192.0.2.7'
says = ["failed", "192.0.2.7", "bob"]
"""


@pytest.mark.parametrize(
    ("fields", "technique"),
    [
        ({}, "T1110.001"),
        ({"user": None}, "T1110"),
        ({"kind": "probed"}, "T1595"),
        ({"kind": "succeeded"}, ""),
        ({"filter": "csf", "kind": "probed"}, "T1595.001"),
        ({"filter": "portscan", "kind": "probed"}, "T1595.001"),
        ({"filter": "modsecurity", "user": None}, "T1190"),
        ({"filter": "requests", "kind": "request"}, "T1595.003"),
        ({"filter": "nginx", "kind": "probed", "line": LIMITED}, "T1499.002"),
        ({"filter": "nginx", "kind": "probed", "line": FORBIDDEN}, "T1595"),
        ({"filter": "nginx", "kind": "probed", "line": "\x1b\ud800 nothing of the kind"}, "T1595"),
        ({"filter": "nginx-limit-req[mode=x]", "kind": "probed"}, "T1499.002"),
        ({"filter": "/etc/fail2ban/filter.d/apache-botsearch.conf"}, "T1595.003"),
        ({"filter": "/etc/passwd"}, "T1110.001"),
    ],
)
def test_an_event_is_a_sign_of_what_its_filter_says(fields: dict[str, Any], technique: str) -> None:
    """By its table where tables of one kind differ; by its kind; of fail2ban's filters by the name."""
    assert Techniques()(failed(**fields)) == technique


def test_a_filter_of_ones_own_is_asked_where_the_configuration_names_it(tmp_path: Path) -> None:
    """An event may name any file: no other is opened."""
    file = tmp_path / "own.toml"
    file.write_text(OWN, encoding="utf-8")
    asked = Techniques([str(file)])
    assert asked(failed(filter=str(file), line="no bob from 192.0.2.7")) == "T1078"
    assert asked(failed(filter=str(file), line="bad handshake from 192.0.2.7", user=None)) == "T1133"
    assert Techniques()(failed(filter=str(file), line="no bob from 192.0.2.7")) == "T1110.001"


def test_every_sample_of_the_library_has_a_technique_that_is_known() -> None:
    """But for logins that succeeded."""
    asked = Techniques()
    for each in every_filter():
        for kind in {rule.kind for rule in each.definition.rules} & {"failed", "probed"}:
            assert asked(failed(filter=each.name, kind=kind)) in TECHNIQUES, (each.name, kind)
