"""Every format, read back by a reader that is not ours, whatever attackers have written into it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from schemas.behaviours import Alert
from schemas.records import AuthEvent, Command, Enforcement, Heartbeat, Prolong, Record, RulesChanged, Unban
from schemas.steering import STEERING, printable
from sinks.contract import Background
from sinks.registry import format_kind, format_names
from sinks.selection import happening_of
from tests.schemas.examples import EXAMPLES
from tests.sinks.following import AT_MS, ORIGIN, ban, failed
from tests.sinks.hostile import hostile_text
from tests.sinks.sending import item, written

KNOWN = Background(
    AT_MS - 412_000, ("admin",), ("sshd",), ("web1",), ("sshd",), ("a line",), ("DE",), "T1110.001"
)
COMMON: Final[dict[str, Any]] = {"prefix": "203.0.113.7", "at_ms": AT_MS}
DONE: Final[dict[str, Any]] = {"host": "web1", "backend": "nftables", **COMMON}
FORMATS: Final = [name for name in format_names() if name != "stix"]
"""STIX has bans alone: tests/sinks/test_taxii.py."""
RECORDS: Final[tuple[Record, ...]] = (
    failed(),
    failed(ip="2001:db8::7", user=None, port=None, host=None, service=None, filter="dovecot"),
    failed(kind="succeeded"),
    failed(kind="probed", filter="nginx-botsearch"),
    ban(evidence=("3-8790-0", "3-8812-4")),
    ban(prefix="203.0.113.0/24", until_ms=None),
    ban(prefix="2001:db8::/64", expired=True),
    ban(who="root", why="by hand", count=0, findtime_ms=None),
    Unban(id="0-1-0-1", jail="sshd", ban="0-0-0-0", reason="expired", **COMMON),
    Unban(id="0-1-0-1", jail="sshd", ban="0-0-0-0", reason="allowed", who="root", why="mine", **COMMON),
    Prolong(id="0-1-0-1", jail="sshd", ban="0-0-0-0", until_ms=AT_MS + 1, **COMMON),
    Alert(
        id="0-1-0-0",
        jail="sshd",
        at_ms=AT_MS,
        measure="users",
        minute_ms=AT_MS - 9,
        count=31,
        usual=2,
        deviation=1,
        limit=10,
        basis="last hour",
        rules="c0ffee12",
    ),
    *(
        Enforcement(decision="0-0-0-0", verb=verb, outcome=outcome, detail="why", **DONE)
        for verb in ("ban", "unban")
        for outcome in ("applied", "refused", "failed", "skipped")
    ),
    *(
        Command(id="x" * 200, verb=verb, who="root", why="so", **COMMON)
        for verb in ("ban", "unban", "forgive", "allow", "disallow")
    ),
    Command(id="y", verb="enroll", at_ms=AT_MS, who="root", host="web1", public_key="A" * 43),
    RulesChanged(version="c0ffee12", at_ms=AT_MS, rules={"jails": []}),
    failed(kind="request", country="DE"),
    Heartbeat(host="web1", backend="null", at_ms=AT_MS, lag_ms=0, in_force=1),
)


def told(text: str) -> str:
    """A value as formats have it that cannot hold everything."""
    return printable(text)


def steers(text: str) -> bool:
    """Whether a text breaks a line, or means something to a terminal. LEEF has tabs."""
    return STEERING.search(text) is not None or any(char < " " and char != "\t" for char in text)


def cef(line: str) -> tuple[list[str], dict[str, str]]:
    """A second reader of CEF, by its specification: the header's fields, and the extension."""
    *head, extension = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    found: dict[str, str] = {}
    places = list(re.finditer(r"(?:^| )(\w+)=", re.sub(r"\\.", "__", extension)))
    for place, following in zip(places, [*places[1:], None], strict=True):
        value = extension[place.end() : None if following is None else following.start()]
        assert place[1] not in found
        found[place[1]] = re.sub(r"\\(.)", r"\1", value)
    return head, found


def leef(line: str) -> dict[str, str]:
    """A second reader of LEEF 2.0."""
    *head, body = line.split("|", 6)
    assert (head[0], head[5]) == ("LEEF:2.0", "x09")
    pairs = [each.partition("=") for each in body.split("\t")]
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name: value for name, _, value in pairs}


ELEMENT = re.compile(r'\[([!-~]+)((?: [!-~]+="(?:[^"\\\]]|\\["\\\]])*")*)\]')
"""An element of structured data (RFC 5424, section 6.3)."""
PARAMETER = re.compile(r' ([!-~]+?)="((?:[^"\\\]]|\\["\\\]])*)"')


def structured(line: str) -> dict[str, str]:
    """A second reader of structured data: the values of our own element. Real rsyslog reads it elsewhere."""
    head = re.match(r"<\d{1,3}>1 \S+ \S+ banstream - \S+ ", line)
    assert head is not None
    origin = ELEMENT.match(line, head.end())
    assert origin is not None
    own = ELEMENT.match(line, origin.end())
    assert own is not None
    assert (own[1], line[own.end()]) == ("banstream@32473", " ")
    pairs = PARAMETER.findall(own[2])
    assert len({name for name, _ in pairs}) == len(pairs)
    return {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in pairs}


def row(line: str) -> dict[str, str]:
    """A row of CSV by its columns' names."""
    from sinks.formats.comma_separated import KIND  # noqa: PLC0415 - its header is what is tested

    (found,) = csv.DictReader(io.StringIO(f"{KIND.header.decode()}\n{line}\n"))
    return found


@settings(max_examples=100, deadline=None)
@given(user=hostile_text, line=hostile_text, host=hostile_text)
def test_whatever_is_in_an_event_is_read_back(user: str, line: str, host: str) -> None:
    """The same values, in no other field, on one line."""
    event = failed(user=user[:1_000], line=line[:1_000], host=host[:200], service=host[:200])
    assert isinstance(event, AuthEvent)
    user, line, host = event.user or "", event.line, event.host or ""
    texts = {name: written(event, name).decode() for name in FORMATS}
    assert not any(steers(text) for text in texts.values())
    found = json.loads(texts["ecs"])
    assert (found["message"], found["event"]["original"]) == (line, line)
    assert (found.get("user", {}).get("name", ""), found.get("host", {}).get("name", "")) == (user, host)
    found = json.loads(texts["ocsf"])
    assert (found["raw_data"], found["user"].get("name", "")) == (line, user)
    found = json.loads(texts["json"])
    assert (found["line"], found["user"], found["host"], found["kind"]) == (line, user, host, "failed")
    found = json.loads(texts["gelf"])
    assert (found.get("_user", ""), found["_kind"]) == (user, "failed")
    assert found["short_message"] == (told(line) or "failed")
    values = {
        each["key"]: next(iter(each["value"].values())) for each in json.loads(texts["otlp"])["attributes"]
    }
    assert (values.get("user.name", ""), values["client.address"]) == (user, "203.0.113.7")
    fields = structured(texts["syslog"])
    assert (fields.get("user", ""), fields.get("service", "")) == (told(user), told(host))
    assert fields["kind"] == "failed"
    fields = leef(texts["leef"])
    assert (fields.get("usrName", ""), fields["msg"], fields["src"]) == (
        told(user),
        told(line),
        "203.0.113.7",
    )
    head, fields = cef(texts["cef"])
    assert head == ["CEF:0", "banstream", "banstream", "0.1.0", "event:failed", "Login failed", "3"]
    assert (fields.get("duser", ""), fields["msg"]) == (told(user)[:1_023], told(line)[:1_023])
    cells = row(texts["csv"])
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells.values())
    mark = "'" if told(user).startswith(("=", "+", "-", "@")) else ""
    assert cells["user"] == mark + told(user)
    assert cells["kind"] == "failed"


@settings(max_examples=60, deadline=None)
@given(why=hostile_text, who=hostile_text, jail=hostile_text, detail=hostile_text)
def test_whatever_operators_and_firewalls_say_is_read_back(
    why: str, who: str, jail: str, detail: str
) -> None:
    """Reasons, names, errors."""
    decided = ban(why=why, who=who[:200], jail=jail[:60] or "x")
    done = Enforcement(decision="0-0-0-0", verb="ban", outcome="failed", detail=detail, **DONE)
    for record in (decided, done):
        for name in FORMATS:
            assert not steers(written(record, name, KNOWN).decode())
    assert json.loads(written(decided, "ecs", KNOWN))["rule"]["name"] == decided.jail
    assert structured(written(decided, "syslog", KNOWN).decode())["jail"] == told(decided.jail)
    assert leef(written(decided, "leef", KNOWN).decode())["policy"] == told(decided.jail)
    assert cef(written(decided, "cef", KNOWN).decode())[1]["cs1"] == told(decided.jail)
    assert row(written(decided, "csv", KNOWN).decode())["ip"] == "203.0.113.7"
    assert json.loads(written(done, "ocsf"))["status_detail"] == detail if detail else True


@pytest.mark.parametrize("name", FORMATS)
def test_every_record_can_be_written_and_has_its_id(name: str) -> None:
    """Those that leave the log, each with every field set, too."""
    others = [each for pair in EXAMPLES for each in pair if happening_of(each) is not None]
    for record in (*RECORDS, *others):
        text = written(record, name, KNOWN).decode()
        assert "\n" not in text
        assert name in {"text", "template"} or item(record).id in text


EVENT_FIELDS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["failed", "succeeded", "probed", "request"]),
        "user": st.none() | hostile_text,
        "line": hostile_text,
        "port": st.none() | st.integers(0, 65_535),
        "host": st.none() | hostile_text.map(lambda text: text[:200]),
        "service": st.none() | st.just("100%b %s"),
        "source": st.sampled_from(["file:/var/log/auth.log", "journald:x%d"]),
        "ip": st.sampled_from(["203.0.113.7", "2001:db8::7"]),
        "position": st.integers(0, 9),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENT_FIELDS, min_size=1, max_size=4))
@pytest.mark.parametrize("name", ["ecs", "ocsf"])
def test_an_event_written_by_its_shape_is_the_document(name: str, fields: list[dict[str, Any]]) -> None:
    """Whatever the events before it were: the same as one that is written whole."""
    kind = format_kind(name)
    assert kind is not None
    write = kind.writer(ORIGIN, {})
    for each in fields:
        event = failed(**each)
        assert json.loads(write(item(event))) == json.loads(write(item(event)._replace(record=event)))


@cache
def ocsf_schema() -> Callable[[int, tuple[str, ...]], dict[str, Any]]:
    """OCSF's own schema of a class with profiles."""
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))

    @cache
    def of(class_uid: int, profiles: tuple[str, ...]) -> dict[str, Any]:
        name = schemas.lookup_class_name_from_uid(class_uid)
        found: dict[str, Any] = schemas.get_class_schema(class_name=name, profiles=list(profiles))
        return found

    return of


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: each.TYPE)
def test_ocsf_is_as_its_schema_says(record: Record) -> None:
    """And class, activity and type agree, which the schema does not look at."""
    event = json.loads(written(record, "ocsf", KNOWN if record.TYPE == "ban" else None))
    schema = ocsf_schema()(event["class_uid"], tuple(event["metadata"].get("profiles", ())))
    jsonschema.validate(event, schema)
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["category_uid"] == event["class_uid"] // 1_000
    assert event["metadata"]["uid"] == item(record).id


ECS_TYPES: Final = {
    "authentication": {"start", "end", "info"},
    "intrusion_detection": {"allowed", "denied", "info"},
    "network": {"access", "allowed", "connection", "denied", "end", "info", "protocol", "start"},
    "configuration": {"access", "change", "creation", "deletion", "info"},
    "host": {"access", "change", "end", "info", "start"},
    "web": {"access", "error", "info"},
}
"""event.category: the event.type that ECS expects with it."""
ECS_FIELDS: Final = {
    "@timestamp": str, "message": str, "tags": list, "ecs.version": str, "event.id": str, "event.kind": str,
    "source.geo.country_iso_code": str,
    "event.category": list, "event.type": list, "event.outcome": str, "event.action": str,
    "event.severity": int, "event.module": str, "event.dataset": str, "event.created": str,
    "event.original": str, "event.reason": str, "event.start": str, "event.end": str, "source.ip": str,
    "source.address": str, "source.port": int, "user.name": str, "host.name": str, "host.id": str,
    "host.os.type": str, "service.name": str, "log.file.path": str, "related.ip": list,
    "related.user": list, "related.hosts": list, "rule.name": str, "rule.version": str, "rule.ruleset": str,
    "rule.category": str, "observer.vendor": str, "observer.product": str, "observer.type": str,
    "observer.version": str, "observer.hostname": str, "error.message": str, "threat.framework": str,
    "threat.tactic.id": list, "threat.tactic.name": list, "threat.technique.id": list,
    "threat.technique.name": list, "threat.technique.subtechnique.id": list,
    "threat.technique.subtechnique.name": list,
}  # fmt: skip
"""The fields of ECS that we write, and whether ECS has them as an array."""


def flat(document: dict[str, Any], begin: str = "") -> dict[str, Any]:
    """A document's fields by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        found |= flat(value, f"{begin}{name}.") if isinstance(value, dict) else {f"{begin}{name}": value}
    return found


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: each.TYPE)
def test_ecs_has_fields_of_ecs_of_their_types(record: Record) -> None:
    """Own fields stand under `banstream`; each type is one that ECS expects of a category."""
    document = json.loads(written(record, "ecs", KNOWN))
    fields = flat(document)
    for name, value in fields.items():
        if not name.startswith("banstream."):
            assert isinstance(value, ECS_FIELDS[name]), name
    assert fields["event.kind"] in {"alert", "event"}
    assert fields["event.outcome"] in {"success", "failure", "unknown"}
    expected = set[str]().union(*(ECS_TYPES[each] for each in fields["event.category"]))
    assert set(fields["event.type"]) <= expected
    assert "/" not in fields.get("source.ip", "")
    if "banstream.prefix" in fields:
        assert "/" in fields["banstream.prefix"]


def test_elastics_own_rules_find_a_failed_ssh_login() -> None:
    """They ask for these fields with these values."""
    fields = flat(json.loads(written(failed(), "ecs")))
    assert (fields["host.os.type"], fields["event.action"]) == ("linux", "ssh_login")
    assert (fields["event.outcome"], fields["source.ip"], fields["user.name"]) == (
        "failure",
        "203.0.113.7",
        "admin",
    )
    assert fields["threat.technique.subtechnique.id"] == ["T1110.001"]
    assert fields["host.id"]


def test_a_long_line_is_cut_and_its_structured_data_is_not() -> None:
    """A receiver takes so many bytes of a message."""
    text = written(failed(line="é" * 1_024), "syslog", longest=600)
    assert len(text) <= 600
    assert structured(text.decode())["user"] == "admin"


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40))
def test_ids_are_short_and_plain(name: bytes) -> None:
    """What a receiver keys by: 40 characters of ASCII at most."""
    record = Command(id=name.hex(), verb="ban", **COMMON, who="x")
    for each in (record, failed(source=f"file:/{name.hex()}"), ban(id=f"0-{name.hex()}-0")):
        assert re.fullmatch(r"[A-Za-z0-9-]{1,40}", item(each).id)
