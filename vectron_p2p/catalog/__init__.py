"""The catalog: who belongs, which collections there are, and which node owns which shard.

Owns the cluster state, the commands that change it, placement, and the epoch log, a leaderless consensus on the order
of the commands. Must not know how messages travel or where records lie: everything here is a pure state machine.
Invariant: two nodes at one epoch hold byte-identical state.
"""
