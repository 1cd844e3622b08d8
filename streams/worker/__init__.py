"""The decider as a Faust worker on Kafka: any number of processes on any hosts share a log's partitions.

Faust gives membership, assignment and the agent loop; its acknowledged offsets are a hint, no more. Whose a
partition is, the transactional producer of its owner decides, and where it stands, the state topic says.
Needs the extra `kafka`.

    membership: which partitions are this worker's, and their messages as they come (Faust)
    owner:      one partition: opened, folded, committed in transactions, let go (aiokafka)
    history:    reading what was committed before: the state, and events to be folded again (aiokafka)
    worker:     the three connected; time passing; stopping
    governing:  which rules are in force before the first event is read
"""
