"""Tests on whole machines: Debian booted with its own systemd. `make test-all` runs them."""
