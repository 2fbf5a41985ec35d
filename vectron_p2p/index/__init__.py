"""The index of one shard: vectors in memory, an HNSW graph, exact scans, and the services that run them.

Owns everything that answers a search on one shard replica. The rows on disk are the truth: all of this can be built
again from them. Must not know of collections, owners, the network or LevelDB.
"""
