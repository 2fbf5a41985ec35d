"""§8: the disk."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "failed_write_forgotten",
        "§8.1",
        "what a write that failed may have left on disk is in the sums and the index after the store was reopened",
        (
            Edit(
                "storage.shard:ShardStore.heal",
                "failed = self._failed or _Batch([], [], {})",
                "failed = _Batch([], [], {})",
            ),
            Edit("storage.shard:ShardStore.heal", "self._check_whole()", "pass"),
        ),
        scenario="disk",
        seeds=(1,),
    ),
    Mutant(
        "unsynced_rows_not_written_again",
        "§8.1",
        "after a failed write all that was acknowledged is on disk again before the next acknowledgement",
        (
            Edit(
                "storage.shard:ShardStore.heal",
                "self._kv.write([*self._unsynced, *failed.puts], sync=True)",
                "self._kv.write([*failed.puts], sync=True)",
            ),
            Edit("storage.shard:ShardStore.heal", "self._check_whole()", "pass"),
        ),
        scenario="failed writes",
        seeds=(1,),
        seconds=8.0,
    ),
    Mutant(
        "ack_before_fsync",
        "§8 (3)",
        "a row is on disk before it is acknowledged",
        (
            Edit(
                "storage.shard:ShardStore._write",
                "sync = sync or self._unsynced_bytes > MAX_UNSYNCED_BYTES",
                "sync = False",
            ),
        ),
        scenario="power",
        seeds=(1,),
    ),
    Mutant(
        "damage_overlooked",
        "§8.2",
        "a store that is damaged is put aside, and its replacement learns",
        (Edit("node.opening:Opening.replace", "await self._forgot(replica, why, others)", "pass"),),
        scenario="forgetful",
        seeds=(3,),
    ),
    Mutant(
        "acknowledged_before_indexed",
        "§8, §9",
        "a row is in the index before its write is acknowledged",
        (Edit("storage.commit:GroupCommit._commit_job", "if written:", "if False:"),),
        scenario="handoff",
        seeds=(1,),
    ),
)
