"""Tests of the decider and its hosts."""
