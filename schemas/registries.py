"""The groups of entry points by which parts are found, those that come with banstream and others."""

from __future__ import annotations

from typing import Final

BACKENDS: Final = "banstream.backends"
"""Firewalls (enforcers.backends): each names a function `opened(table) -> Backend`."""
SOURCES: Final = "banstream.sources"
"""Kinds of sources (producers.sources): each names a `producers.contract.SourceKind`."""
FORMATS: Final = "banstream.formats"
"""Formats of sinks (sinks.registry): each names a `sinks.contract.FormatKind`."""
TRANSPORTS: Final = "banstream.transports"
"""Ways to receivers, by the scheme of `to` (sinks.registry): each names a `sinks.contract.TransportKind`."""
