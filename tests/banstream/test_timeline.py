"""All that the log has about somebody: for people, as JSON, as a page, as a STIX bundle."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from stix2validator import ValidationOptions, validate_instance

from tests.banstream.service import Service, eventually, say
from tests.banstream.test_policies import FOUR

HOSTILE = "</td><script>alert(1)</script>\x1b[2J\u202eevil"


class Page(HTMLParser):
    """What a browser would see: elements, and the text in them."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text.append(data)

    @property
    def loads(self) -> list[Any]:
        """What it would fetch."""
        return [each for each in self.tags if {"src", "href", "srcset", "action"} & set(each[1])]


@pytest.mark.real("nftables")
def test_what_is_known_of_somebody_in_order(up: Service) -> None:
    """An address, its network, the user it tried; a hostile name stays text in each form."""
    up.configure('maxretry = 3\nbantime = "1h"')
    up.start()
    up.fail(f"{FOUR}1", 2, user="anna")
    up.write(f"sshd[7]: Failed password for invalid user {HOSTILE} from {FOUR}1 port 4000 ssh2")
    eventually(lambda: up.elements() == {f"{FOUR}1"}, "banned")
    config = ("--config", str(up.config))
    up.run("unban", f"{FOUR}1", "--why", "it was <b>us</b>", *config)
    expected = ["auth", "auth", "auth", "ban", "enforcement", "command", "unban", "enforcement"]
    for subject in (f"{FOUR}1", f"{FOUR}0/24"):
        found = up.json("timeline", subject)
        assert sorted(each["type"] for each in found) == sorted(expected)
        assert [each["at_ms"] for each in found] == sorted(each["at_ms"] for each in found)
    (hostile,) = [each["user"] for each in found if each["type"] == "auth" and each["user"] != "anna"]
    assert "<script>" in hostile
    assert [each["type"] for each in up.json("timeline", "user:anna")][:2] == ["auth", "auth"]
    assert {each["type"] for each in up.json("timeline", "anna")} == set(expected)
    assert not up.json("timeline", "host:anna", code=1)
    assert not up.json("timeline", f"{FOUR}9", code=1)
    said = say(up, "timeline", f"{FOUR}1")
    assert "\x1b" not in said
    assert "it was <b>us</b>" in said
    file = up.folder / "page.html"
    say(up, "timeline", f"{FOUR}1", "--html", str(file))
    page = Page(file.read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not page.loads
    assert not [tag for tag, _ in page.tags if tag == "b"]
    assert "it was <b>us</b>" in " ".join(page.text)
    bundle = json.loads(say(up, "timeline", f"{FOUR}1", "--stix"))
    results = validate_instance(bundle, ValidationOptions(version="2.1"))
    assert results.is_valid, [str(error) for error in results.errors]
    assert say(up, "timeline", f"{FOUR}1", "--stix") == say(up, "timeline", f"{FOUR}1", "--stix")
    kinds = [each["type"] for each in bundle["objects"]]
    assert {"identity", "indicator", "observed-data", "ipv4-addr", "user-account", "note"} <= set(kinds)
    (pattern,) = [each["pattern"] for each in bundle["objects"] if each["type"] == "indicator"]
    assert pattern == f"[ipv4-addr:value = '{FOUR}1']"
    assert hostile in [each.get("account_login") for each in bundle["objects"]]
    (enforced, *_) = [each for each in found if each["type"] == "enforcement"]
    (ban,) = [each for each in found if each["type"] == "ban"]
    for place in (f"enforcements:{enforced['place']}", ban["place"], ban["id"]):
        assert f"(decision {ban['id']})" in say(up, "explain", place)
    say(up, "explain", f"{FOUR}1", "--all", "--html", str(file))
    page = Page(file.read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "</td><script>alert(1)</script>" in "".join(page.text)
    assert up.stop() == 0
