"""Tests of what packages banstream for a machine."""
