"""Tests of the native filters: times, envelopes, pieces, patterns, sessions."""
