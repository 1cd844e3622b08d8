"""The metrics of a role, for Prometheus: `[metrics] listen`. Every name there is stands in `Metric`.

They are read from the role's last account, so that a scrape costs the role nothing. Exposition by
prometheus-client; names as https://prometheus.io/docs/practices/naming/ has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self

from banstream.account import Account, RoleStatus
from schemas.errors import LogError

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

Measured = tuple["Metric", dict[str, str], float]


class Metric(StrEnum):
    """Every metric: its name, and what it says. `_total` is a counter, all others are gauges."""

    said: str

    ROLE_INFO = "banstream_role_info", "1; labels say the role and the version."
    ROLE_START = "banstream_role_start_timestamp_seconds", "When the role started."
    ROLE_SAID = (
        "banstream_role_heartbeat_timestamp_seconds",
        "When the role last said how it is; it does once a second.",
    )
    ROLE_WAITING = "banstream_role_waiting_stages", "Stages that met a passing error and try again."
    ROLE_WAITING_JAILS = (
        "banstream_role_waiting_jails",
        "Jails with which something is wrong; `status` says what.",
    )
    ROLE_NOTICES = "banstream_role_notices_total", "What went wrong and was survived; `status` says what."
    PRODUCER_READ = "banstream_producer_read_bytes_total", "Bytes of log lines read."
    PRODUCER_EVENTS = "banstream_producer_events_total", "Events found and written."
    PRODUCER_LAST_EVENT = (
        "banstream_producer_last_event_timestamp_seconds",
        "When the last event was written.",
    )
    UPLINK_SPOOLED_FRAMES = "banstream_uplink_spooled_frames", "Messages that wait in the spool."
    UPLINK_SPOOLED_BYTES = "banstream_uplink_spooled_bytes", "Bytes that wait in the spool."
    UPLINK_SPOOL_LIMIT = "banstream_uplink_spool_limit_bytes", "How many bytes may wait in the spool."
    UPLINK_REFUSALS = "banstream_uplink_spool_refusals_total", "How often the spool was too full for more."
    UPLINK_ACKNOWLEDGED = "banstream_uplink_acknowledged_messages_total", "Messages that the log has taken."
    UPLINK_AWAY = "banstream_uplink_away_seconds", "For how long the log cannot be reached; 0 where it can."
    DECIDER_EVENTS = "banstream_decider_events_total", "Events folded."
    DECIDER_SENT_AGAIN = (
        "banstream_decider_sent_again_events_total",
        "Events passed over because they had been folded before.",
    )
    DECIDER_REFUSED = (
        "banstream_decider_refused_lines_total",
        "Lines that could not be read, sent to the dead letters.",
    )
    DECIDER_FAILING = "banstream_decider_failing_subjects", "Subjects with failures, by jail."
    DECIDER_BANNED = "banstream_decider_banned_subjects", "Subjects banned, by jail."
    DECIDER_FAILURES = "banstream_decider_failures_total", "Failures counted, by jail."
    DECIDER_BANS = "banstream_decider_bans_total", "Bans decided, by jail."
    DECIDER_ALERTS = "banstream_decider_alerts_total", "How often a jail's minute was unusual, by jail."
    DECIDER_DROPPED = (
        "banstream_decider_dropped_subjects_total",
        "Subjects forgotten because there were too many, by jail.",
    )
    ENFORCER_IN_FORCE = "banstream_enforcer_in_force_prefixes", "Prefixes that the firewall holds."
    ENFORCER_OUTCOMES = "banstream_enforcer_enforcements_total", "What became of decisions, by outcome."
    ENFORCER_REPAIRS = "banstream_enforcer_repairs_total", "How often others had changed the firewall."
    ENFORCER_REPAIRED = (
        "banstream_enforcer_repaired_prefixes_total",
        "Prefixes put right after others had changed them.",
    )
    ENFORCER_RETRYING = (
        "banstream_enforcer_retrying_prefixes",
        "Prefixes that the firewall did not take, and that are tried again.",
    )
    ENFORCER_UNRECORDED = "banstream_enforcer_unrecorded_records", "Records that the log has not taken yet."
    ENFORCER_TRIPPED = "banstream_enforcer_breaker_tripped", "Whether the breaker refuses new bans."
    ENFORCER_BREAKER_REFUSED = (
        "banstream_enforcer_breaker_refused_bans_total",
        "Bans that the breaker refused.",
    )
    ENFORCER_LAG = "banstream_enforcer_lag_seconds", "How old the newest ban was when it was read."
    ENFORCER_OBSERVING = "banstream_enforcer_observing", "Whether nothing is enforced."
    SINK_SENT = "banstream_sink_sent_records_total", "Records that the receiver has taken, by sink."
    SINK_REFUSED = (
        "banstream_sink_refused_records_total",
        "Records that the receiver will not take, which are in the dead letters, by sink.",
    )
    SINK_RETRIES = "banstream_sink_retries_total", "How often something had to be sent again, by sink."
    SINK_MISSED = (
        "banstream_sink_missed_messages_total",
        "Messages that the log dropped before they were sent, by sink.",
    )
    SINK_LAG = "banstream_sink_lag_seconds", "How long the oldest record waits to be sent, by sink."
    SINK_LAG_MESSAGES = "banstream_sink_lag_messages", "Messages of the log that wait to be sent, by sink."
    SINK_WAITING = (
        "banstream_sink_waiting",
        "Whether its receiver cannot be reached or takes nothing, by sink.",
    )
    SINK_ENDED = "banstream_sink_ended", "Whether it goes on no more; `status` says why, by sink."
    WORKER_AWAY = "banstream_worker_away", "Whether the broker is away."
    WORKER_PARTITIONS = "banstream_worker_partitions", "Partitions of this worker, by state."
    WORKER_LAG = "banstream_worker_lag_messages", "Messages in the log that are not folded yet, by partition."
    WORKER_EVENTS = "banstream_worker_events_total", "Events folded, by partition."
    WORKER_DECISIONS = "banstream_worker_decisions_total", "Decisions made, by partition."
    WORKER_ASIDE = (
        "banstream_worker_senders_put_aside",
        "Senders whose messages count for nothing, since most of them cannot be read, by partition.",
    )
    WORKER_PUT_ASIDE = "banstream_worker_put_aside_messages_total", "Messages of such senders, by partition."
    WORKER_COMMITS = "banstream_worker_commits_total", "Transactions committed, by partition."

    def __new__(cls, name: str, said: str) -> Self:
        """The text itself is the name."""
        made = str.__new__(cls, name)
        made._value_, made.said = name, said
        return made

    @property
    def is_counter(self) -> bool:
        """Whether it only grows, within one life of a process."""
        return self.endswith("_total")


def samples(status: RoleStatus) -> Iterator[Measured]:
    """The samples of a role's account."""
    yield Metric.ROLE_INFO, {"role": status.role, "version": status.version}, 1
    yield Metric.ROLE_START, {}, status.started_at_ms / 1_000
    yield Metric.ROLE_SAID, {}, status.at_ms / 1_000
    yield Metric.ROLE_WAITING, {}, len(status.waiting)
    yield Metric.ROLE_WAITING_JAILS, {}, len(status.account.waiting_jails)
    yield Metric.ROLE_NOTICES, {}, sum(status.account.notices.values())
    for each in (_of_producer, _of_uplink, _of_decider, _of_enforcer, _of_worker, _of_sinks):
        yield from each(status.account)


def _of_producer(account: Account) -> Iterator[Measured]:
    if (producer := account.producer) is not None:
        yield Metric.PRODUCER_READ, {}, producer.read_bytes
        yield Metric.PRODUCER_EVENTS, {}, producer.events
        if producer.last_event_at_ms is not None:
            yield Metric.PRODUCER_LAST_EVENT, {}, producer.last_event_at_ms / 1_000


def _of_uplink(account: Account) -> Iterator[Measured]:
    if (uplink := account.uplink) is not None:
        yield Metric.UPLINK_SPOOLED_FRAMES, {}, uplink.spooled_frames
        yield Metric.UPLINK_SPOOLED_BYTES, {}, uplink.spooled_bytes
        yield Metric.UPLINK_SPOOL_LIMIT, {}, uplink.spool_bytes
        yield Metric.UPLINK_REFUSALS, {}, uplink.spool_refusals
        yield Metric.UPLINK_ACKNOWLEDGED, {}, uplink.acknowledged
        yield Metric.UPLINK_AWAY, {}, uplink.away_s or 0


def _of_decider(account: Account) -> Iterator[Measured]:
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
            if "alerts" in counts:
                yield Metric.DECIDER_ALERTS, labels, counts["alerts"]


def _of_enforcer(account: Account) -> Iterator[Measured]:
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


def _of_worker(account: Account) -> Iterator[Measured]:
    if (worker := account.worker) is not None:
        yield Metric.WORKER_AWAY, {}, int(worker.away)
        for partition in worker.partitions:
            labels = {"partition": str(partition.number)}
            yield Metric.WORKER_PARTITIONS, {**labels, "state": partition.state}, 1
            if partition.lag is not None:
                yield Metric.WORKER_LAG, labels, partition.lag
            yield Metric.WORKER_EVENTS, labels, partition.events
            yield Metric.WORKER_DECISIONS, labels, partition.decisions
            yield Metric.WORKER_ASIDE, labels, partition.aside
            yield Metric.WORKER_PUT_ASIDE, labels, partition.put_aside
            yield Metric.WORKER_COMMITS, labels, partition.commits


def _of_sinks(account: Account) -> Iterator[Measured]:
    for sink in account.sinks or ():
        labels = {"sink": sink.name}
        yield Metric.SINK_SENT, labels, sink.sent
        yield Metric.SINK_REFUSED, labels, sink.refused
        yield Metric.SINK_RETRIES, labels, sink.retries
        yield Metric.SINK_MISSED, labels, sink.missed
        yield Metric.SINK_LAG, labels, sink.lag_ms / 1_000
        yield Metric.SINK_LAG_MESSAGES, labels, sink.lag_messages
        yield Metric.SINK_WAITING, labels, int(sink.waiting is not None)
        yield Metric.SINK_ENDED, labels, int(sink.ended is not None)


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
        except (OSError, OverflowError) as error:  # of several workers one may go past the last port
            reason = getattr(error, "strerror", None) or error
            raise LogError(
                f"metrics.listen = {host}:{port}: {reason}; choose another, or leave it out"
            ) from error

    def collect(self) -> Iterable[Family]:
        """The metrics of the last account: what prometheus-client asks for at each scrape."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        families: dict[Metric, Any] = {}
        for metric, labels, value in () if self.status is None else samples(self.status):
            if metric not in families:
                make = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
                families[metric] = make(str(metric), metric.said, labels=list(labels))
            families[metric].add_metric(list(labels.values()), value)
        return families.values()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
