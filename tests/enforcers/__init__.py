"""Tests of enforcers/."""
