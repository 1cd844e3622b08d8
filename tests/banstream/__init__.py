"""Tests of the command and of the whole pipeline."""
