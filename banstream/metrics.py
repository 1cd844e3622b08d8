"""The metrics of a role, for Prometheus: `[metrics] listen`. Every name there is stands in `Metric`.

They are read from the role's last account, so that a scrape costs the role nothing. Exposition by
prometheus-client; names as https://prometheus.io/docs/practices/naming/ has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from banstream.account import Account, RoleStatus
from schemas.errors import LogError

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

Sample = tuple["Metric", dict[str, str], float]


class Metric(StrEnum):
    """Every metric's name; `_total` is a counter, all others are gauges."""

    ROLE_INFO = "banstream_role_info"
    ROLE_START = "banstream_role_start_timestamp_seconds"
    ROLE_SAID = "banstream_role_heartbeat_timestamp_seconds"
    ROLE_WAITING = "banstream_role_waiting_stages"
    ROLE_NOTICES = "banstream_role_notices_total"
    PRODUCER_READ = "banstream_producer_read_bytes_total"
    PRODUCER_EVENTS = "banstream_producer_events_total"
    PRODUCER_LAST_EVENT = "banstream_producer_last_event_timestamp_seconds"
    UPLINK_SPOOLED_FRAMES = "banstream_uplink_spooled_frames"
    UPLINK_SPOOLED_BYTES = "banstream_uplink_spooled_bytes"
    UPLINK_SPOOL_LIMIT = "banstream_uplink_spool_limit_bytes"
    UPLINK_REFUSALS = "banstream_uplink_spool_refusals_total"
    UPLINK_ACKNOWLEDGED = "banstream_uplink_acknowledged_messages_total"
    UPLINK_AWAY = "banstream_uplink_away_seconds"
    DECIDER_EVENTS = "banstream_decider_events_total"
    DECIDER_SENT_AGAIN = "banstream_decider_sent_again_events_total"
    DECIDER_REFUSED = "banstream_decider_refused_lines_total"
    DECIDER_FAILING = "banstream_decider_failing_subjects"
    DECIDER_BANNED = "banstream_decider_banned_subjects"
    DECIDER_FAILURES = "banstream_decider_failures_total"
    DECIDER_BANS = "banstream_decider_bans_total"
    DECIDER_DROPPED = "banstream_decider_dropped_subjects_total"
    ENFORCER_IN_FORCE = "banstream_enforcer_in_force_prefixes"
    ENFORCER_OUTCOMES = "banstream_enforcer_enforcements_total"
    ENFORCER_REPAIRS = "banstream_enforcer_repairs_total"
    ENFORCER_REPAIRED = "banstream_enforcer_repaired_prefixes_total"
    ENFORCER_RETRYING = "banstream_enforcer_retrying_prefixes"
    ENFORCER_UNRECORDED = "banstream_enforcer_unrecorded_records"
    ENFORCER_TRIPPED = "banstream_enforcer_breaker_tripped"
    ENFORCER_BREAKER_REFUSED = "banstream_enforcer_breaker_refused_bans_total"
    ENFORCER_LAG = "banstream_enforcer_lag_seconds"
    ENFORCER_OBSERVING = "banstream_enforcer_observing"
    WORKER_AWAY = "banstream_worker_away"
    WORKER_PARTITIONS = "banstream_worker_partitions"
    WORKER_LAG = "banstream_worker_lag_messages"
    WORKER_EVENTS = "banstream_worker_events_total"
    WORKER_DECISIONS = "banstream_worker_decisions_total"
    WORKER_COMMITS = "banstream_worker_commits_total"

    @property
    def is_counter(self) -> bool:
        """Whether it only grows, within one life of a process."""
        return self.endswith("_total")


HELP: Final[dict[Metric, str]] = {
    Metric.ROLE_INFO: "1; labels say the role and the version.",
    Metric.ROLE_START: "When the role started.",
    Metric.ROLE_SAID: "When the role last said how it is; it does once a second.",
    Metric.ROLE_WAITING: "Stages that met a passing error and try again.",
    Metric.ROLE_NOTICES: "What went wrong and was survived; `status` says what.",
    Metric.PRODUCER_READ: "Bytes of log lines read.",
    Metric.PRODUCER_EVENTS: "Events found and written.",
    Metric.PRODUCER_LAST_EVENT: "When the last event was written.",
    Metric.UPLINK_SPOOLED_FRAMES: "Messages that wait in the spool.",
    Metric.UPLINK_SPOOLED_BYTES: "Bytes that wait in the spool.",
    Metric.UPLINK_SPOOL_LIMIT: "How many bytes may wait in the spool.",
    Metric.UPLINK_REFUSALS: "How often the spool was too full for more.",
    Metric.UPLINK_ACKNOWLEDGED: "Messages that the log has taken.",
    Metric.UPLINK_AWAY: "For how long the log cannot be reached; 0 where it can.",
    Metric.DECIDER_EVENTS: "Events folded.",
    Metric.DECIDER_SENT_AGAIN: "Events passed over because they had been folded before.",
    Metric.DECIDER_REFUSED: "Lines that could not be read, sent to the dead letters.",
    Metric.DECIDER_FAILING: "Subjects with failures, by jail.",
    Metric.DECIDER_BANNED: "Subjects banned, by jail.",
    Metric.DECIDER_FAILURES: "Failures counted, by jail.",
    Metric.DECIDER_BANS: "Bans decided, by jail.",
    Metric.DECIDER_DROPPED: "Subjects forgotten because there were too many, by jail.",
    Metric.ENFORCER_IN_FORCE: "Prefixes that the firewall holds.",
    Metric.ENFORCER_OUTCOMES: "What became of decisions, by outcome.",
    Metric.ENFORCER_REPAIRS: "How often others had changed the firewall.",
    Metric.ENFORCER_REPAIRED: "Prefixes put right after others had changed them.",
    Metric.ENFORCER_RETRYING: "Prefixes that the firewall did not take, and that are tried again.",
    Metric.ENFORCER_UNRECORDED: "Records that the log has not taken yet.",
    Metric.ENFORCER_TRIPPED: "Whether the breaker refuses new bans.",
    Metric.ENFORCER_BREAKER_REFUSED: "Bans that the breaker refused.",
    Metric.ENFORCER_LAG: "How old the newest ban was when it was read.",
    Metric.ENFORCER_OBSERVING: "Whether nothing is enforced.",
    Metric.WORKER_AWAY: "Whether the broker is away.",
    Metric.WORKER_PARTITIONS: "Partitions of this worker, by state.",
    Metric.WORKER_LAG: "Messages in the log that are not folded yet, by partition.",
    Metric.WORKER_EVENTS: "Events folded, by partition.",
    Metric.WORKER_DECISIONS: "Decisions made, by partition.",
    Metric.WORKER_COMMITS: "Transactions committed, by partition.",
}


def samples(status: RoleStatus) -> Iterator[Sample]:
    """The samples of a role's account."""
    yield Metric.ROLE_INFO, {"role": status.role, "version": status.version}, 1
    yield Metric.ROLE_START, {}, status.started_at_ms / 1_000
    yield Metric.ROLE_SAID, {}, status.at_ms / 1_000
    yield Metric.ROLE_WAITING, {}, len(status.waiting)
    yield Metric.ROLE_NOTICES, {}, sum(status.account.notices.values())
    for each in (_of_producer, _of_uplink, _of_decider, _of_enforcer, _of_worker):
        yield from each(status.account)


def _of_producer(account: Account) -> Iterator[Sample]:
    if (producer := account.producer) is not None:
        yield Metric.PRODUCER_READ, {}, producer.read_bytes
        yield Metric.PRODUCER_EVENTS, {}, producer.events
        if producer.last_event_at_ms is not None:
            yield Metric.PRODUCER_LAST_EVENT, {}, producer.last_event_at_ms / 1_000


def _of_uplink(account: Account) -> Iterator[Sample]:
    if (uplink := account.uplink) is not None:
        yield Metric.UPLINK_SPOOLED_FRAMES, {}, uplink.spooled_frames
        yield Metric.UPLINK_SPOOLED_BYTES, {}, uplink.spooled_bytes
        yield Metric.UPLINK_SPOOL_LIMIT, {}, uplink.spool_bytes
        yield Metric.UPLINK_REFUSALS, {}, uplink.spool_refusals
        yield Metric.UPLINK_ACKNOWLEDGED, {}, uplink.acknowledged
        yield Metric.UPLINK_AWAY, {}, uplink.away_s or 0


def _of_decider(account: Account) -> Iterator[Sample]:
    if (decider := account.decider) is not None:
        yield Metric.DECIDER_EVENTS, {}, decider.events
        yield Metric.DECIDER_SENT_AGAIN, {}, decider.sent_again
        yield Metric.DECIDER_REFUSED, {}, decider.refused
        for name, counts in decider.jails.items():
            labels = {"jail": name}
            yield Metric.DECIDER_FAILING, labels, counts["failing"]
            yield Metric.DECIDER_BANNED, labels, counts["banned"]
            yield Metric.DECIDER_FAILURES, labels, counts["failures"]
            yield Metric.DECIDER_BANS, labels, counts["bans"]
            yield Metric.DECIDER_DROPPED, labels, counts["dropped"]


def _of_enforcer(account: Account) -> Iterator[Sample]:
    if (enforcer := account.enforcer) is not None:
        yield Metric.ENFORCER_IN_FORCE, {}, enforcer.in_force
        for outcome in ("applied", "refused", "failed", "skipped"):
            yield Metric.ENFORCER_OUTCOMES, {"outcome": outcome}, getattr(enforcer, outcome)
        yield Metric.ENFORCER_REPAIRS, {}, enforcer.repairs
        yield Metric.ENFORCER_REPAIRED, {}, enforcer.repaired
        yield Metric.ENFORCER_RETRYING, {}, enforcer.retrying
        yield Metric.ENFORCER_UNRECORDED, {}, enforcer.unrecorded
        yield Metric.ENFORCER_TRIPPED, {}, int(enforcer.breaker is not None)
        yield Metric.ENFORCER_BREAKER_REFUSED, {}, enforcer.breaker_refused
        yield Metric.ENFORCER_LAG, {}, enforcer.lag_ms / 1_000
        yield Metric.ENFORCER_OBSERVING, {}, int(enforcer.observing is not None)


def _of_worker(account: Account) -> Iterator[Sample]:
    if (worker := account.worker) is not None:
        yield Metric.WORKER_AWAY, {}, int(worker.away)
        for partition in worker.partitions:
            labels = {"partition": str(partition.number)}
            yield Metric.WORKER_PARTITIONS, {**labels, "state": partition.state}, 1
            if partition.lag is not None:
                yield Metric.WORKER_LAG, labels, partition.lag
            yield Metric.WORKER_EVENTS, labels, partition.events
            yield Metric.WORKER_DECISIONS, labels, partition.decisions
            yield Metric.WORKER_COMMITS, labels, partition.commits


class Server(Protocol):
    """What answers the scrapes."""

    def shutdown(self) -> None:
        """Stop answering."""


class Metrics:
    """The endpoint, and the account it answers from.

    Attributes:
        status: the role's last account; None before the first.
    """

    def __init__(self, host: str, port: int) -> None:
        """Answer at `http://host:port/metrics` from a thread; LogError where nobody can listen there."""
        from prometheus_client import start_http_server
        from prometheus_client.registry import CollectorRegistry

        self.status: RoleStatus | None = None
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise LogError(
                f"metrics.listen = {host}:{port}: {error.strerror or error}; choose another, or leave it out"
            ) from error

    def collect(self) -> Iterable[Family]:
        """The metrics of the last account: what prometheus-client asks for at each scrape."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        families: dict[Metric, Any] = {}
        for metric, labels, value in () if self.status is None else samples(self.status):
            if metric not in families:
                make = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
                families[metric] = make(metric, HELP[metric], labels=list(labels))
            families[metric].add_metric(list(labels.values()), value)
        return families.values()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
