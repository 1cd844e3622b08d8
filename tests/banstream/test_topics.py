"""`banstream topics`, on the real broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.banstream.service import Service, service
from tests.broker import Cluster

pytestmark = pytest.mark.real("kafka")


@pytest.fixture
def fleet(broker: Cluster, tmp_path: Path) -> Iterator[Service]:
    """A configuration that names a log on the broker, under a prefix of its own; it has no topics yet."""
    url = broker.url(prefix="", timeout="10s").replace("prefix=", f"prefix=t-{tmp_path.name}.")
    with service(tmp_path) as made:
        made.config.write_text(f'[log]\nurl = "{url}"\n', encoding="utf-8")
        yield made
    broker.drop(url)


def told(fleet: Service, *arguments: str, code: int = 0) -> str:
    """What a command says to people, on stdout and stderr."""
    done = fleet.run(*arguments, "--config", str(fleet.config), code=code)
    return done.stdout + done.stderr


def test_topics_are_made_once(fleet: Service) -> None:
    """`create` makes every topic with its partitions and policy; again, with or without numbers, nothing."""
    assert "make them with `banstream topics create`" in told(fleet, "topics", "describe", code=1)
    made = fleet.json("topics", "create", "--partitions", "3")
    assert {topic["topic"]: topic["partitions"] for topic in made} == {
        "banstream.events": 3,
        "banstream.commands": 3,
        "banstream.decisions": 3,
        "banstream.state": 3,
        "banstream.subjects": 3,
        "banstream.verdicts": 3,
        "banstream.bans": 1,
        "banstream.enforcements": 1,
        "banstream.rules": 1,
        "banstream.deadletters": 1,
        "banstream.positions": 1,
    }
    assert "nothing was changed" in told(fleet, "topics", "create")
    assert fleet.json("topics", "create", "--partitions", "3") == []
    assert fleet.json("topics", "describe") == made


def test_what_topics_keep_is_what_the_schemas_say(fleet: Service) -> None:
    """Retention and compaction on the broker are those of schemas.topics, in milliseconds."""
    fleet.json("topics", "create", "--partitions", "1", "--replication", "1")
    settings = {topic["topic"]: topic["settings"] for topic in fleet.json("topics", "describe")}
    assert settings["banstream.decisions"]["retention.ms"] == str(400 * 86_400_000)
    assert settings["banstream.decisions"]["cleanup.policy"] == "delete"
    assert settings["banstream.bans"]["cleanup.policy"] == "compact"
    assert "newest of each key" in told(fleet, "topics", "describe")


def test_other_partitions_are_refused(fleet: Service) -> None:
    """Partitions that differ are exit code 2 with the topic and both numbers, and nothing is made."""
    fleet.json("topics", "create", "--partitions", "2")
    said = told(fleet, "topics", "create", "--partitions", "4", code=2)
    assert "banstream.events has 2 partitions, not 4" in said
    assert {topic["partitions"] for topic in fleet.json("topics", "describe")} == {1, 2}


def test_another_policy_is_refused_and_what_is_missing_not_made(fleet: Service, broker: Cluster) -> None:
    """A topic made by others with another policy is told with both policies, and no other is made."""
    prefix = fleet.config.read_text(encoding="utf-8").partition("prefix=")[2].partition("&")[0]
    with closing(broker.admin()) as admin:
        topic = {"num_partitions": 1, "replication_factor": 1, "configs": {"cleanup.policy": "delete"}}
        admin.create_topics({f"{prefix}banstream.bans": topic}, wait_for_metadata=True)
    said = told(fleet, "topics", "create", code=2)
    assert "banstream.bans has cleanup.policy = delete, not compact" in said
    assert "banstream.bans has message.timestamp.type = CreateTime, not LogAppendTime" in said
    assert [topic["topic"] for topic in fleet.json("topics", "describe")] == ["banstream.bans"]


def test_an_embedded_log_has_no_topics(tmp_path: Path) -> None:
    """With a log in a file there are no topics to make: exit code 2."""
    with service(tmp_path) as embedded:
        embedded.configure()
        done = embedded.run("topics", "create", "--config", str(embedded.config), code=2)
    assert "expected kafka://" in done.stderr


def test_a_broker_that_is_away_is_exit_code_3(tmp_path: Path) -> None:
    """Where nobody listens, the command ends within its timeout and says where it looked."""
    with service(tmp_path) as lonely:
        lonely.config.write_text('[log]\nurl = "kafka://localhost:1?timeout=1s"\n', encoding="utf-8")
        done = lonely.run("topics", "describe", "--config", str(lonely.config), code=3)
    assert "kafka://localhost:1: the broker cannot be reached" in done.stderr
