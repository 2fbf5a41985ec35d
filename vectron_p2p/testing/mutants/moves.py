"""§6: moves of shards, and §3.7: levels during them."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

MOVING = "moving"

MUTANTS = (
    Mutant(
        "no_fence",
        "§6",
        "each step is fenced before the next one",
        (
            Edit(
                "node.services.moves:Moves._step",
                "await self._fence(move, drive)",
                "await self._replicas.opened([move.shard])",
            ),
        ),
        scenario=MOVING,
        seconds=12.0,
        seeds=(32,),
    ),
    Mutant(
        "leaving_owner_unfenced",
        "§6.1",
        "the owner that leaves has the step on disk too",
        (
            Edit(
                "replication.fencing:FenceRound.__init__",
                "for node in (*new, leaving)",
                "for node in new",
            ),
            Edit(
                "replication.fencing:FenceRound.complete",
                "return old >= sources_needed(len(self._old)) and",
                "return",
            ),
        ),
        scenario=MOVING,
        seconds=12.0,
        seeds=(13,),
    ),
    Mutant(
        "old_requests_accepted",
        "§6.1",
        "an owner refuses requests that are older than the last step of the shard",
        (Edit("node.fences:Fences.check", "if epoch < fence:", "if False:"),),
        scenario=MOVING,
        seconds=12.0,
        seeds=(9,),
    ),
    Mutant(
        "fence_passed_by_requests_under_way",
        "§6.1",
        "a fence has passed only when the requests that were admitted before have ended",
        (
            Edit(
                "node.replica_service:ReplicaService._await_fence",
                "await self._fences.passed(shard, message.fence)",
                "return m.Done()",
            ),
        ),
        scenario=MOVING,
        seconds=12.0,
        seeds=(51,),
    ),
    Mutant(
        "copied_from_another_owner",
        "§6.2",
        "the node that comes copies from the owner that leaves, or from N-W+1 old owners where that one is gone",
        (
            Edit(
                "node.services.moves:Moves._copy",
                "sources, needed = [move.leaving], 1",
                "sources, needed = [owner for owner in old if owner != move.leaving], 1",
            ),
        ),
        scenario=MOVING,
        seeds=(3,),
        seconds=12.0,
    ),
    Mutant(
        "read_new_before_the_copy",
        "§6.3",
        "the new owners are read only when the copy is complete and on disk",
        (
            Edit(
                "node.services.moves:Moves._fill",
                "floors = await self._copy(move, replica, drive)",
                "floors = Floors()",
            ),
        ),
        scenario=MOVING,
        seeds=(1,),
        seconds=12.0,
    ),
    Mutant(
        "only_old_owners_written",
        "§3.7",
        "during a move a write is acknowledged in the new set too",
        (
            Edit(
                "node.coordinator.writes:Writes._send",
                "write_quorum(state.route(shard), level)",
                "write_quorum(type(route := state.route(shard))(route.read, route.write[:1]), level)",
            ),
        ),
        scenario=MOVING,
        seeds=(3,),
        seconds=12.0,
    ),
    Mutant(
        "only_new_owners_written",
        "§3.7",
        "during a move a write is acknowledged in the old set too",
        (
            Edit(
                "node.coordinator.writes:Writes._send",
                "write_quorum(state.route(shard), level)",
                "write_quorum(type(route := state.route(shard))(route.read, route.write[-1:]), level)",
            ),
        ),
        scenario=MOVING,
        seeds=(1,),
        seconds=12.0,
    ),
    Mutant(
        "only_the_set_that_is_read",
        "§3.7",
        "during a move every level is met in each set separately",
        (
            Edit(
                "node.coordinator.writes:Writes._send",
                "write_quorum(state.route(shard), level)",
                "write_quorum(type(route := state.route(shard))(route.read, (route.read,)), level)",
            ),
        ),
        scenario=MOVING,
        seeds=(2,),
        seconds=12.0,
    ),
    Mutant(
        "floor_during_a_move",
        "§7",
        "nothing is collected while the owners are changing",
        (
            Edit(
                "node.services.floors:steady_owners",
                "or shard in state.moves",
                "",
            ),
            Edit(
                "node.services.floors:steady_owners",
                "state.owners(shard)",
                "state.route(shard).read",
            ),
        ),
        scenario="deleted while moving",
        seeds=(9,),
        seconds=8.0,
    ),
    Mutant(
        "moved_without_the_floors",
        "§7.3",
        "the copy of a move ends by taking over the floors of its source",
        (
            Edit(
                "node.services.moves:Moves._fill",
                "replica.store.clear_learner(floors)",
                "replica.store.clear_learner()",
            ),
        ),
        scenario="restored among new owners",
        seeds=(6,),
        seconds=8.0,
    ),
)
