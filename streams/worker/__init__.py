"""The decider as a worker on Kafka: any number of processes on any hosts share a log's partitions.

Whose a partition is, the transactional producer of its owner decides, and where it stands, the state topic
says; who reads which messages is a host's affair, and may be wrong for a moment. Needs the extra `kafka`.

    states, inputs, actions: one partition as a table, without I/O
    core, batch, inlet: what carries the table out: when to commit, which message is next
    owner: what a core asks for, done: one partition's producer, reading and timer (aiokafka)
    membership: which partitions are this worker's, and their messages: faust_group or aiokafka_group
    worker: all connected; time passing; stopping
    status: how a worker is
    governing: which rules are in force before the first event is read
"""
