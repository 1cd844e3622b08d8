"""What is used of the Kafka libraries beyond what they promise: exact releases, and said when it is gone."""

from __future__ import annotations

import logging
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip("kafka")

from kafka.producer.transaction_manager import TransactionManager

from eventlog.kafka.internals import PINNED, require
from eventlog.kafka.quiet import LIBRARIES, quiet_libraries
from schemas.errors import ConfigError

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_releases_are_pinned_exactly() -> None:
    """What the check names is what is installed, and what pyproject.toml asks for."""
    wanted = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]["kafka"]
    for library, release in PINNED.items():
        assert f"{library}=={release}" in wanted
        assert version(library) == release


def test_a_name_that_is_gone_is_said_with_the_release_to_install() -> None:
    """Rather than an AttributeError in the midst of a commit, a ConfigError before anything starts."""
    require("kafka-python", TransactionManager, "_lock", "begin_commit")
    with pytest.raises(ConfigError, match=r"has no TransactionManager\._gone.*kafka-python==3\.0\.12"):
        require("kafka-python", TransactionManager, "_lock", "_gone")


def test_the_libraries_are_quiet_when_they_are_told_to_be() -> None:
    """And not before: whoever debugs hears them."""
    before = {name: logging.getLogger(name).level for name in LIBRARIES}
    try:
        quiet_libraries()
        assert not logging.getLogger("kafka.conn").isEnabledFor(logging.ERROR)
        assert not logging.getLogger("streams.worker.faust_group").isEnabledFor(logging.ERROR)
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
