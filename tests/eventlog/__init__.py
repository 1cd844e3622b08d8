"""Tests of the event logs: one contract for all, and what only a file can do."""
