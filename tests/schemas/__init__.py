"""Tests of the records, their wire format, addresses and topics."""
