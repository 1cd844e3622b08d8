"""`banstream topics`: make the topics of a log on a Kafka cluster, and show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from banstream.config import load_settings
from banstream.options import config_option, json_option
from banstream.show import counted, json_line, say, show, table
from schemas.durations import format_duration
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from eventlog.kafka.layout import Placed
    from eventlog.kafka.options import KafkaOptions


@click.group("topics")
def topics_command() -> None:
    """Make or show the topics of the log on a Kafka cluster."""


@topics_command.command("create")
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Of events, decisions and state; fixed from then on [default: 8, or as many as there are].",
)
@click.option(
    "--replication",
    type=click.IntRange(1, 100),
    metavar="R",
    help="Copies of each partition [default: 3, or as many as there are brokers].",
)
@json_option
@config_option
def create_command(
    partitions: int | None, replication: int | None, as_json: bool, config_file: str | None
) -> int:
    """Make every topic that is missing; again it changes nothing. Exit code 2 when one differs."""
    options = _options(config_file)
    from eventlog.kafka.admin import create

    made = create(options, partitions, replication)
    if as_json:
        for topic in made:
            json_line(_wire(topic))
        return 0
    for topic in made:
        sizes = counted(topic.partitions, "partition"), counted(topic.replication, "copy", "copies")
        say(f"Made {options.prefix}{topic.name}: {', '.join(sizes)}.")
    if not made:
        say("All topics are there, as they should be; nothing was changed.")
    return 0


@topics_command.command("describe")
@json_option
@config_option
def describe_command(as_json: bool, config_file: str | None) -> int:
    """Show every topic that is there. Exit code 1 when there is none."""
    options = _options(config_file)
    from eventlog.kafka.admin import describe

    found = describe(options)
    if as_json:
        for topic in found:
            json_line(_wire(topic))
    elif found:
        columns = ("topic", "partitions", "copies", "kept", "in sync for a write")
        show(table(options.place, columns, [_row(options, topic) for topic in found]))
    else:
        say(f"No topics at {options.place}; make them with `banstream topics create`.")
    return 0 if found else 1


def _options(config_file: str | None) -> KafkaOptions:
    """The cluster that the configuration names; ConfigError when its log is another."""
    url = load_settings(config_file, check="names").log_url
    if not url.startswith("kafka://"):
        raise ConfigError(f"log.url = {url!r}: has no topics to make; expected kafka://host:port,host:port")
    from eventlog.kafka.options import parse_url
    from eventlog.urls import check_reach

    check_reach(url)
    return parse_url(url)


def _row(options: KafkaOptions, topic: Placed) -> tuple[str, int, int, str, str]:
    settings = topic.settings
    retention_ms = int(settings["retention.ms"])
    kept = "for ever" if retention_ms < 0 else format_duration(retention_ms)
    if settings["cleanup.policy"] != "delete":
        kept = "newest of each key"
    name = options.prefix + topic.name
    return name, topic.partitions, topic.replication, kept, settings["min.insync.replicas"]


def _wire(topic: Placed) -> dict[str, object]:
    facts = ["cleanup.policy", "min.insync.replicas"]
    if topic.settings["cleanup.policy"] == "delete":
        facts.append("retention.ms")
    settings = {name: topic.settings[name] for name in facts}
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
        "replication": topic.replication,
        "settings": settings,
    }
