"""The groups of entry points by which parts are found, those that come with banstream and others."""

from __future__ import annotations

from typing import Final

BACKENDS: Final = "banstream.backends"
"""Firewalls (enforcers.backends): each names a function `opened(table) -> Backend`."""
SOURCES: Final = "banstream.sources"
"""Kinds of sources (producers.sources): each names a `producers.contract.SourceKind`."""
