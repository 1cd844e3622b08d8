"""Intakes: sources that listen, and what others send them becomes lines of whoever may send.

| module | holds |
|---|---|
| `settings` | who may send, and for which hosts |
| `framing` | a stream of bytes cut into messages; pure |
| `connections`, `datagrams` | sockets: bounded in number, memory and time |
| `hub` | one listening address: its senders' lines, in the order they came |
| `source` | a hub as a source of lines (`producers.contract`) |

A socket has no position: what was taken and is not in the log when the process is killed is gone, and nobody
sends it again. So a hub outlives a reload, hands out again what its last reader did not store, and takes
nothing more while nothing can be stored: over TCP the sender then waits.
"""
