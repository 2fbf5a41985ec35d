"""§3: plain writes."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "older_row_applied",
        "§3.1",
        "a plain write or hint is applied only if it is newer than what is held",
        (
            Edit(
                "storage.shard:ShardStore.apply",
                "if entry is not None and row.version <= entry[:VERSION_SIZE]:",
                "if entry is not None and (row.version == entry[:VERSION_SIZE] or (\n"
                "    row.version < entry[:VERSION_SIZE] and paths and paths[i] is not Path.WRITE)):",
            ),
        ),
        scenario="lag",
        seeds=(1,),
        seconds=10.0,
    ),
    Mutant(
        "older_copy_applied",
        "§3.1",
        "a row of repair or write-back is applied only if it is newer than what is held",
        (
            Edit(
                "storage.shard:ShardStore.apply",
                "if entry is not None and row.version <= entry[:VERSION_SIZE]:",
                "if entry is not None and (row.version == entry[:VERSION_SIZE] or (\n"
                "    row.version < entry[:VERSION_SIZE] and not (paths and paths[i] is Path.COPY))):",
            ),
        ),
        scenario="lag",
        seeds=(11,),
        seconds=8.0,
    ),
    Mutant(
        "ack_on_newer",
        "§3.2",
        "an acknowledgement means that this very version was applied, never that a newer one is held",
        (
            Edit(
                "replication.quorum:WriteRound.record",
                "if answer == version:",
                "if answer is not None and answer >= version:",
            ),
        ),
        scenario="contention",
        seeds=(8,),
    ),
    Mutant(
        "restamp_after_mixed_outcome",
        "§3.2",
        "a write that is applied here and outdone there is not stamped anew",
        (
            Edit(
                "replication.quorum:WriteRound._state",
                "traced = acked or self._silent or self._traced[row]",
                "traced = (acked or self._silent or self._traced[row]) and not self._newer[row]",
            ),
        ),
        scenario="outdone",
        seeds=(1,),
        seconds=10.0,
    ),
    Mutant(
        "hints_as_acks",
        "§3.5",
        "hints never count as acknowledgements (else: Cassandra's ANY, Riak's sloppy quorum)",
        (
            Edit(
                "replication.quorum:WriteRound.record_failure",
                "if self._settle(owner):",
                "self.record(owner, self._versions)\n    self._missed.add(owner)\n    if False:",
            ),
            Edit(
                "replication.quorum:WriteRound.record_unsent",
                "if self._settle(owner):",
                "self.record(owner, self._versions)\n    self._missed.add(owner)\n    if False:",
            ),
        ),
        scenario="handoff",
        seeds=(27,),
    ),
    Mutant(
        "hint_of_a_refused_write",
        "§3.3",
        "what was applied nowhere is not sent once more after the call",
        (
            Edit(
                "replication.quorum:WriteRound.owed",
                "[i for i, acked in enumerate(self._acked) if acked] if owners else []",
                "list(range(len(self._acked))) if owners else []",
            ),
        ),
        scenario="no room",
        seeds=(40,),
        seconds=12.0,
    ),
    Mutant(
        "half_is_a_quorum",
        "§3 (terms)",
        "a quorum is a majority of the owners",
        (
            Edit(
                "model.consistency:Consistency.required",
                "return owners if self is Consistency.ALL else owners // 2 + 1",
                "return owners if self is Consistency.ALL else max(1, owners // 2)",
            ),
        ),
        scenario="handoff",
        seeds=(4,),
    ),
    Mutant(
        "majority_of_the_living",
        "§3 (terms)",
        "owners are counted dead or alive",
        (
            Edit(
                "node.coordinator.writes:Writes._send",
                "state.epoch, write_quorum(state.route(shard), level), traced",
                "state.epoch, type(write_quorum(state.route(shard), level)).at(\n"
                "    level, [[each for each in owners if self._peers.alive(each)] or owners\n"
                "            for owners in state.route(shard).write]), traced",
            ),
            Edit("node.coordinator.writes:Writes._check_reachable", "if not quorum.met(living):", "if False:"),
        ),
        scenario="island",
        seeds=(8,),
        seconds=12.0,
    ),
    Mutant(
        "retry_with_another_id",
        "§3.3",
        "all attempts of a call carry the one operation id that the client made",
        (
            Edit(
                "node.coordinator.conditional:Conditional.upsert",
                "operation_key(operation_id)",
                "operation_key(operation_id + self._peers.me)",
            ),
            Edit(
                "node.coordinator.conditional:Conditional.change",
                "operation_key(operation_id)",
                "operation_key(operation_id + self._peers.me)",
            ),
        ),
        scenario="retries",
        seeds=(1,),
        seconds=8.0,
    ),
)
