"""Formats: pure functions from an item to the bytes that a receiver reads."""
