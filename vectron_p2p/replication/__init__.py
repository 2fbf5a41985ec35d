"""Replication rules, pure: versions, the hybrid clock, quorum rounds, hints and Merkle trees.

Owns how writes are ordered, when a write or read counts as done, and how two replicas find where they differ. Must not
know how rows are stored or sent: callers hand in replies and the time, and send what comes out.
"""
