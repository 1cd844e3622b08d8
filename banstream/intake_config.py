"""The intakes of a configuration: `[intake.NAME]`, who may send where, and the jails that read them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from banstream import values
from banstream.jails import JailSettings
from banstream.toml import Table
from eventlog.urls import check_url, is_shared
from producers.intakes.settings import (
    ELASTIC_VERSION,
    LISTEN,
    MOST_CONNECTIONS,
    TOPIC,
    USUAL_CONNECTIONS,
    AllowedSender,
    Intake,
    is_intake,
)
from schemas.bounds import MOST_PORT
from schemas.errors import ConfigError

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
KAFKA: Final = "kafka:"
HTTP: Final = ("http:", "https:")
MOST_LINES_PER_S: Final = 10_000_000
TLS: Final = ("syslog+tls:", "https:")
EXPECTED_HOSTS: Final = 'the names of hosts that its lines may be of, such as ["web*"], or ["*"] for any'


def read_intakes(top: Table, jails: Sequence[JailSettings], log_url: str) -> tuple[Intake, ...]:
    """The intakes that `[intake.NAME]` makes; every address that a jail listens on has one.

    Topics are where `log_url` is, unless `servers` says.
    """
    tables = dict(top.table("intake").tables(parts=False))
    read = [_intake(name, table, log_url) for name, table in tables.items()]
    found: dict[str, Intake] = {}
    for each in read:
        if each is not None and found.setdefault(each.listen, each) is not each:
            first = found[each.listen].name
            tables[each.name].problem(
                "listen", each.listen, f"an address of its own: [intake.{first}] has this one"
            )
    for jail in jails:
        for spec in jail.sources:
            if is_intake(spec) and spec not in found:
                expected = f'an [intake.NAME] with listen = "{spec}" that says who may send there'
                top.table("jail").table(jail.rules.name).problem("source", spec, expected)
    return tuple(found.values())


def _intake(name: str, table: Table, log_url: str) -> Intake | None:
    listen = table.take("listen", _listen, "")
    certificate = table.take("certificate", values.file, None)
    key = table.take("key", values.file, None)
    client_ca = table.take("client_ca", values.file, None)
    elastic_version = table.take("elastic_version", _version, ELASTIC_VERSION)
    servers = _place(table, listen, log_url)
    tables = dict(table.table("sender").tables(parts=False))
    senders = tuple(_sender(each, one, listen) for each, one in tables.items())
    if not listen and "listen" not in table.refused:
        table.problem("listen", None, EXPECTED_LISTEN)
    if elastic_version != ELASTIC_VERSION and not listen.startswith(HTTP):
        table.problem("elastic_version", elastic_version, "none: only http:// and https:// say one")
    _check_names(name, table, senders, listen)
    own = {"certificate": certificate, "key": key}
    _check_files(table, own, client_ca, senders, tls=listen.startswith(TLS))
    table.done()
    if not listen or not senders:
        return None
    return Intake(
        name=name,
        listen=listen,
        senders=senders,
        certificate=certificate,
        key=key,
        client_ca=client_ca,
        elastic_version=elastic_version,
        servers=servers,
    )


def _place(table: Table, listen: str, log_url: str) -> str | None:
    """Where a topic is: where the log is, unless `servers` says."""
    topic = listen.startswith(KAFKA)
    servers = table.take("servers", _servers, log_url if topic and is_shared(log_url) else None)
    if topic and servers is None and "servers" not in table.refused:
        table.problem("servers", None, 'where the topic is, such as "kafka://host:9092"')
    elif servers is not None and not topic and listen:
        table.problem("servers", servers, "none: only kafka:// has topics")
    return servers


def _check_names(name: str, table: Table, senders: Sequence[AllowedSender], listen: str) -> None:
    if NAME.fullmatch(name) is None:
        table.problem("", name, "a name of up to 64 letters, digits, - and _")
    if not senders:
        table.problem("sender", None, f"who may send: a table [intake.{name}.sender.WHO]")
    if listen.startswith(KAFKA) and len(senders) > 1:
        table.problem("sender", len(senders), "one: in a topic nobody can be told from another")


def _check_files(
    table: Table,
    own: Mapping[str, str | None],
    client_ca: str | None,
    senders: Sequence[AllowedSender],
    *,
    tls: bool,
) -> None:
    """TLS takes a certificate and its key; certificates of senders an authority that signs them."""
    for name, file in own.items():
        if tls and file is None and name not in table.refused:
            table.problem(name, None, "the absolute path of a file in PEM, for TLS")
        elif not tls and file is not None:
            table.problem(name, file, "none: only syslog+tls:// and https:// have TLS")
    wants = any(each.certificates for each in senders)
    if wants and client_ca is None and "client_ca" not in table.refused:
        table.problem("client_ca", None, "the authority that signs the senders' certificates, a file in PEM")
    if client_ca is not None and not wants:
        table.problem("client_ca", client_ca, "none: no sender has `certificates`")


def _sender(name: str, table: Table, listen: str) -> AllowedSender:
    unset: tuple[str, ...] = ()
    sender = AllowedSender(
        name=name,
        networks=table.take("from", values.prefixes, unset),
        certificates=table.take("certificates", values.texts, unset),
        token_file=table.take("token_file", values.file, None),
        hosts=table.take("hosts", values.texts, unset),
        lines_per_s=table.take("lines_per_s", values.between(1, MOST_LINES_PER_S), None),
        connections=table.take("connections", values.between(1, MOST_CONNECTIONS), USUAL_CONNECTIONS),
    )
    if NAME.fullmatch(name) is None:
        table.problem("", name, "a name of up to 64 letters, digits, - and _")
    if not sender.hosts and "hosts" not in table.refused:
        table.problem("hosts", None, EXPECTED_HOSTS)
    topic = listen.startswith(KAFKA)
    if sender.certificates and not listen.startswith(TLS):
        table.problem(
            "certificates", list(sender.certificates), "none: only syslog+tls:// and https:// ask for one"
        )
    if sender.token_file is not None and not listen.startswith(HTTP):
        table.problem("token_file", sender.token_file, "none: only http:// and https:// ask for a token")
    if topic and (sender.networks or sender.certificates):
        table.problem("from", list(sender.networks), "none: who may write to a topic the broker says")
    known = topic or sender.networks or sender.certificates or sender.token_file
    if not known and not {"from", "certificates", "token_file"} & table.refused:
        table.problem("from", None, 'the networks it sends from, such as ["10.0.0.0/24"]')
    table.done()
    return sender


EXPECTED_LISTEN: Final = (
    "syslog+udp://ADDRESS:PORT, syslog+tcp, syslog+tls, tcp, gelf+udp, gelf+tcp, http or https so, with "
    "an address of this machine in digits, or 0.0.0.0, or [::]; or a topic, kafka://TOPIC"
)


def _servers(value: object) -> str:
    url = values.text(value)
    try:
        check_url(url)
    except ConfigError as error:
        raise ValueError(f'where a topic is, such as "kafka://host:9092" ({error})') from error
    if not is_shared(url):
        raise ValueError('where a topic is, such as "kafka://host:9092"')
    return url


def _version(value: object) -> str:
    version = values.text(value)
    if re.fullmatch(r"\d{1,3}\.\d{1,3}\.\d{1,3}", version) is None:
        raise ValueError('a version such as "9.4.0"')
    return version


def _listen(value: object) -> str:
    text = values.text(value)
    if TOPIC.fullmatch(text):
        return text
    found = LISTEN.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= MOST_PORT:
        raise ValueError(EXPECTED_LISTEN)
    try:
        ip_address(found["host"].strip("[]"))
    except ValueError as error:
        raise ValueError(EXPECTED_LISTEN) from error
    return text
