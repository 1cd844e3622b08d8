"""The event log in Apache Kafka, for a fleet: topics that many hosts append to and follow.

Needs the extra `kafka`. Nothing connects before the first call, so that a part may start while the broker is
away; every call ends within the configured timeout, with a Transient while the broker cannot be reached.
"""
