"""The way over from others."""
