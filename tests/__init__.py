"""Tests of banstream; the folders mirror the tree."""
