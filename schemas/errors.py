"""The error tree: what went wrong, and whose move it is."""

from __future__ import annotations


class BanstreamError(Exception):
    """Anything banstream raises on purpose; its text tells a person what, where, and what to do."""


class InvalidMessage(BanstreamError):  # noqa: N818 - the design's word: it names a message, not a failure of ours
    """A record that cannot be read; it belongs in the dead letters, with this as its reason.

    Attributes:
        reason: what is wrong, one sentence.
        field: the field it is wrong in, or None when it is the whole record.
    """

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        """Keep the reason and the field as facts."""
        super().__init__(f"{field}: {reason}" if field else reason)
        self.reason = reason
        self.field = field


class Transient(BanstreamError):  # noqa: N818 - an adjective on purpose: it says what to do, try again
    """Something that may work later, unchanged: a full disk, an absent broker, a locked file.

    Attributes:
        retry_after_ms: how long to wait before the next try, in milliseconds.
    """

    def __init__(self, reason: str, *, retry_after_ms: int = 1_000) -> None:
        """Keep the delay as a fact."""
        super().__init__(reason)
        self.retry_after_ms = retry_after_ms


class Unwritable(Transient):
    """The disk that holds a log takes nothing now: it is full, or it fails. What is there can be read."""


class LogError(BanstreamError):
    """The event log cannot be used as it is: not ours, corrupt, read-only, or in use by another."""


class Fenced(LogError):  # noqa: N818 - the field's standard word
    """A newer writer of the same name has taken over; this one must stop and may write nothing more."""


class SourceError(BanstreamError):
    """A source of lines cannot be read."""


class ConfigError(BanstreamError):
    """The configuration is wrong; nothing has been started.

    Attributes:
        problems: every problem found, each a sentence with file, key, value and what was expected.
    """

    def __init__(self, *problems: str) -> None:
        """Keep all problems, so that all are shown at once."""
        super().__init__("\n".join(problems))
        self.problems = problems


class EnforcementFailed(BanstreamError):  # noqa: N818 - past tense, as every event of ours
    """The firewall did not do what it was told.

    Attributes:
        prefix: the prefix concerned, or None when the whole firewall is.
    """

    def __init__(self, reason: str, *, prefix: str | None = None) -> None:
        """Keep the prefix as a fact."""
        super().__init__(f"{prefix}: {reason}" if prefix else reason)
        self.prefix = prefix
