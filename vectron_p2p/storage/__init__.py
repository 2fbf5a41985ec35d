"""What a node keeps on disk: key-value stores, rows of shard replicas, group commit.

Owns the disk formats and the rules of PROTOCOLS about the disk: acknowledged means synced, a store that failed once is
reopened before it acknowledges again, damage is found and named. Must not know shards' owners, requests or graphs.
All but `commit` blocks and runs on the executor's disk lane.
"""
