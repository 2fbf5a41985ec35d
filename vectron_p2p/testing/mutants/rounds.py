"""§4: the per-point round."""

from __future__ import annotations

from vectron_p2p.testing.mutants.mutant import Edit, Mutant

LINEAR = "rounds"

MUTANTS = (
    Mutant(
        "promise_in_memory",
        "§4.1",
        "a promise is on disk before it is given",
        (
            Edit("storage.shard:ShardStore.promise", "batch.puts.append((_PROMISE + key, ballot))", "pass"),
            Edit("storage.shard:ShardStore.promise", "if batch.puts:", "self._publish(batch)\n        if False:"),
        ),
        scenario="restarts",
        seeds=(3,),
        seconds=8.0,
    ),
    Mutant(
        "lower_ballot_promised",
        "§4.2",
        "a ballot is refused that is not above the version held and the promise given",
        (Edit("storage.shard:ShardStore.promise", "if ballot <= ballot_of(above):", "if False:"),),
        scenario="lag",
        seeds=(10,),
        seconds=10.0,
    ),
    Mutant(
        "base_is_any_answer",
        "§4.2",
        "the base is the highest version among a quorum of answers",
        (
            Edit(
                "replication.rounds:PointRound.propose",
                "max(self._promises.values(), key=lambda state: state.version)",
                "min(self._promises.values(), key=lambda state: state.version)",
            ),
        ),
        scenario=LINEAR,
        seeds=(2,),
    ),
    Mutant(
        "proposed_without_quorum",
        "§4.2",
        "a row is proposed once a quorum has promised",
        (
            Edit(
                "replication.rounds:PointRound.propose",
                "if self._proposal is not None or not self._enough:",
                "if self._proposal is not None or not self._promises:",
            ),
            Edit(
                "replication.rounds:PointRound.decided",
                "return quorum.met(got) or",
                "return bool(self._proposal is None and self._promises) or quorum.met(got) or",
            ),
        ),
        scenario=LINEAR,
        seeds=(2,),
    ),
    Mutant(
        "accepted_below_promise",
        "§4.2",
        "a row of a round is refused that is below the promise given",
        (
            Edit(
                "replication.ballots:passes",
                "return ballot > promise or (ballot == promise and bool(mark))",
                "return bool(mark) or ballot > promise",
            ),
        ),
        scenario=LINEAR,
        seeds=(2,),
    ),
    Mutant(
        "done_with_one_accept",
        "§4.2",
        "a row is accepted once W owners hold it",
        (
            Edit(
                "replication.rounds:PointRound.conclude",
                "and self._enough",
                "and self._accepted",
            ),
            Edit(
                "replication.rounds:PointRound.decided",
                "return quorum.met(got) or",
                "return bool(self._accepted) or quorum.met(got) or",
            ),
        ),
        scenario=LINEAR,
        seeds=(13,),
    ),
    Mutant(
        "promise_ignored_by_copies",
        "§4.3",
        "a promise counts as a held version on every path",
        (
            Edit(
                "storage.shard:ShardStore.apply",
                "if promise is not None and not passes(row.version, row.mark, promise):",
                "if promise is not None and row.mark and not path is Path.COPY and not passes(\n"
                "    row.version, row.mark, promise):",
            ),
        ),
        scenario="lag",
        seeds=(1,),
        seconds=8.0,
    ),
    Mutant(
        "promises_left_open",
        "§4.3",
        "who meets a promise older than a second finishes it",
        (Edit("node.services.promises:Promises.run_once", "if points:", "if False:"),),
        scenario=LINEAR,
        seeds=(6,),
    ),
    Mutant(
        "busy_counts_as_held",
        "§4.4",
        "a read that meets a promise finishes it before it answers",
        (
            Edit(
                "replication.reads:ReadRound.record_write_back",
                "self._busy.add(row)",
                "self._copies(owner)[row] = self._newest[row]",
            ),
        ),
        scenario="few first",
        seeds=(38,),
        seconds=8.0,
    ),
    Mutant(
        "identity_round_changes_the_version",
        "§4.3",
        "conditions compare the content version, which an identity round keeps",
        (
            Edit(
                "replication.rounds:PointRound.propose",
                "mark = Mark(base.content, base.steps)",
                "mark = Mark(None, base.steps)",
            ),
        ),
        scenario=LINEAR,
        seeds=(2,),
    ),
    Mutant(
        "failed_condition_answered_at_once",
        "§4.5",
        "a failed condition is answered only after the base was accepted again",
        (
            Edit(
                "replication.rounds:PointRound.propose",
                "if change is None:\n        mark",
                "if change is None and self._verdict.kind is Kind.FAILED:\n"
                "        self.outcome = self._verdict._replace(state=base)\n"
                "        return None\n"
                "    if change is None:\n        mark",
            ),
        ),
        scenario="few first",
        seeds=(1,),
        seconds=8.0,
    ),
    Mutant(
        "linearizable_read_of_a_quorum",
        "§4.5",
        "what changes nothing is answered only after the base was accepted again",
        (
            Edit(
                "replication.rounds:PointRound.propose",
                "if change is None:\n        mark",
                "if change is None and self._verdict.kind is Kind.DONE:\n"
                "        self.outcome = self._verdict._replace(state=base)\n"
                "        return None\n"
                "    if change is None:\n        mark",
            ),
        ),
        scenario=LINEAR,
        seeds=(1,),
    ),
    Mutant(
        "proposed_again_on_another_base",
        "§4.5",
        "an operation whose effect was sent is proposed again only where the base shows that it was not done",
        (
            Edit(
                "replication.rounds:PointRound._judge",
                "if proposed_on and not self._rebase and base.content not in proposed_on:",
                "if False:",
            ),
        ),
        scenario="retries among puts",
        seeds=(1,),
        seconds=8.0,
    ),
    Mutant(
        "own_operation_not_recognized",
        "§4.5",
        "an operation is done if its id is in the base",
        (
            Edit(
                "replication.rounds:PointRound._judge",
                "if self._operation is not None and any(",
                "if False and any(",
            ),
        ),
        scenario="retries",
        seeds=(1,),
        seconds=8.0,
    ),
    Mutant(
        "steps_not_inherited",
        "§4.1",
        "a row inherits the last operation ids of its base",
        (
            Edit(
                "replication.rounds:PointRound.propose",
                "mark = Mark(None, (*base.steps, step)[-STEPS:])",
                "mark = Mark(None, (step,))",
            ),
            Edit(
                "replication.rounds:PointRound.propose",
                "mark = Mark(base.content, base.steps)",
                "mark = Mark(base.content, ())",
            ),
        ),
        scenario=LINEAR,
        subsumed_by=(
            "§4.5: who does not find its id in the base proposes again only where the base shows that it was not "
            "done, and what a row that forgot its steps shows (the last change alone) is true; so outcomes become "
            "unknown more often, never wrong: tests/cluster/test_rounds.py has the schedule (done before, or unknown)"
        ),
    ),
    Mutant(
        "retry_not_told_apart",
        "§4.5",
        "a retry knows that an earlier attempt may have been proposed",
        (Edit("client.flows:_Attempts.request", "return replace(message, retried=True)", "return message"),),
        scenario="retries among puts",
        seeds=(1,),
        seconds=8.0,
    ),
    Mutant(
        "slow_path_not_above_unknown",
        "§4.5",
        "an operation of unknown outcome is unknown to its client, never a failed condition",
        (
            Edit(
                "replication.rounds:PointRound.give_up",
                "if self._proposed_on():",
                "if False:",
            ),
        ),
        scenario="cut off",
        seeds=(7,),
        seconds=15.0,
    ),
)
