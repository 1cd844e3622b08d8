"""Transports: one small file for each way to a receiver."""
