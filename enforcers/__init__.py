"""Firewall backends, the reconcile loop and the safety rails: bans in, packets dropped."""
