"""Tests of the sources of lines, on real files, pipes and journals."""
