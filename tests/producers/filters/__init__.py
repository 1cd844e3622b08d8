"""Tests of the filters: tables of lines, and what they mean."""
