"""The SQLite log's format: its tables, its statements, and how a file is known to be one.

A stream is one partition of one topic. A message's id is `stream << 48 | offset`, so that the rowid itself is
the key: an append goes straight to the end of its stream and needs no second index, and a read is a range.

| table | holds |
|---|---|
| messages | the messages; `compacted` is the stream where its topic is compacted, else null; `peak_ms` is the highest `at_ms` in its stream up to here |
| streams | for each stream its topic, partition, the next offset and the highest `at_ms`: offsets outlive their messages |
| positions | for each reader the position its writer last committed |
| writers | for each writer's name the epoch of the newest: an older one is fenced |
| meta | one row: the number of partitions |
| log (a view) | the messages for people with an sqlite3 shell: topic, partition, offset, at_ms, key, value; those of events are packed (eventlog.packing) |

In a compacted topic the unique index makes an insert replace the previous message of its key. Format of the
header fields: https://www.sqlite.org/fileformat2.html#the_database_header.
"""  # noqa: E501 - a table row is one line

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x62616E73
"""`bans` in ASCII, in the header's application id: this file is ours."""

FORMAT: Final = 3
"""The format's version, in the header's user version. A program reads its own and older ones; one that opens
an older one to write makes it its own.

| version | since |
|---|---|
| 1 | the first |
| 2 | commands have a topic of their own: a program of before would pass them over |
| 3 | events are packed (eventlog.packing), those of before stay as they are until `log compact` |
"""

OFFSET_BITS: Final = 48
OFFSETS: Final = 1 << OFFSET_BITS
"""How many offsets a stream has: at a million a second enough for nine years."""

NOWHERE: Final = 0
"""The stream of a topic that a file does not know yet: there is nothing in it."""

DDL: Final = (
    "CREATE TABLE meta (partitions INTEGER NOT NULL)",
    """CREATE TABLE streams (
        stream INTEGER PRIMARY KEY,
        topic TEXT NOT NULL,
        partition INTEGER NOT NULL,
        next_offset INTEGER NOT NULL DEFAULT 0,
        peak_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic, partition))""",
    """CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        compacted INTEGER,
        at_ms INTEGER NOT NULL,
        peak_ms INTEGER NOT NULL,
        key TEXT,
        value BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX newest ON messages (compacted, key) WHERE compacted IS NOT NULL",
    """CREATE INDEX tombstones ON messages (compacted, at_ms)
        WHERE compacted IS NOT NULL AND length(value) = 0""",
    "CREATE TABLE positions (reader TEXT PRIMARY KEY, position BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE writers (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE VIEW log AS
        SELECT topic, partition, id & 0xffffffffffff AS "offset", at_ms, key, value
        FROM messages JOIN streams ON stream = id >> 48""",
)

ADD_STREAM: Final = "INSERT OR IGNORE INTO streams (topic, partition) VALUES (?, ?)"
STREAMS: Final = "SELECT topic, partition, stream FROM streams"

TAKE_OFFSETS: Final = """UPDATE streams SET next_offset = next_offset + ?, peak_ms = max(peak_ms, ?)
    WHERE stream = ? RETURNING next_offset, peak_ms"""
INSERT: Final = "INSERT INTO messages (id, compacted, at_ms, peak_ms, key, value) VALUES (?, ?, ?, ?, ?, ?)"
REPLACE: Final = INSERT.replace("INSERT", "REPLACE", 1)
END: Final = "SELECT next_offset FROM streams WHERE stream = ?"

READ: Final = """SELECT id, key, value, at_ms FROM messages WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"""
UNPACKED: Final = """SELECT id, value FROM messages
    WHERE id >= ? AND id < ? AND substr(value, 1, 1) <> ? ORDER BY id LIMIT 500"""
PACK: Final = "UPDATE messages SET value = ? WHERE id = ?"
FIRST: Final = "SELECT id, peak_ms FROM messages WHERE id >= ? AND id < ? ORDER BY id LIMIT 1"
USED_BYTES: Final = """SELECT page_size * (page_count - freelist_count)
    FROM pragma_page_size, pragma_page_count, pragma_freelist_count"""
SIZES: Final = """SELECT id, length(value) FROM messages
    WHERE id >= ? AND id < ? AND peak_ms <= ? ORDER BY id LIMIT 500"""
FOREVER_MS: Final = (1 << 63) - 1
LAST: Final = "SELECT max(id) FROM messages WHERE id >= ? AND id < ?"
IN_FORCE: Final = """SELECT id, key, value, at_ms FROM messages
    WHERE id >= ? AND id < ? AND length(value) > 0 ORDER BY id LIMIT ?"""

POSITION: Final = "SELECT position FROM positions WHERE reader = ?"
POSITIONS: Final = "SELECT reader, position FROM positions ORDER BY reader"
NAME_LOG: Final = "INSERT OR IGNORE INTO positions (reader, position) VALUES (?, ?)"
MOVE: Final = "REPLACE INTO positions (reader, position) VALUES (?, ?)"
NEW_EPOCH: Final = """INSERT INTO writers (name, epoch) VALUES (?, 1)
    ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1 RETURNING epoch"""
EPOCH: Final = "SELECT epoch FROM writers WHERE name = ?"

FIRST_KEPT: Final = """SELECT id FROM messages
    WHERE id >= ? AND id < ? AND at_ms BETWEEN ? AND ? ORDER BY id LIMIT 1"""
LAST_EXPIRED: Final = """SELECT id FROM messages
    WHERE id >= ? AND id < ? AND at_ms < ? ORDER BY id DESC LIMIT 1"""
DROP_RANGE: Final = """DELETE FROM messages WHERE id IN (
    SELECT id FROM messages WHERE id >= ? AND id <= ? ORDER BY id LIMIT 500)"""
DROP_TOMBSTONES: Final = """DELETE FROM messages WHERE id IN (
    SELECT id FROM messages WHERE compacted IS NOT NULL AND length(value) = 0
    AND compacted = ? AND at_ms < ? LIMIT 500)"""
