"""Retries, failover and deadlines, against a scripted transport on a clock that jumps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from tests.unit.client.fake_node import cluster_info, collection_info, node_info
from vectron_p2p.client import operations, point_operations
from vectron_p2p.client.flows import DIAL_ELSEWHERE_S, DIAL_S, GRACE_S, SILENCE_ELSEWHERE_S, ask, ask_each
from vectron_p2p.client.leases import SKEW_S
from vectron_p2p.client.session import RetryPolicy, Session
from vectron_p2p.client.steps import SILENCE_S, UNDONE, Call, Flow, LinkLost, Together
from vectron_p2p.model.errors import (
    AlreadyExists,
    ClockSkew,
    ConsistencyError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    Overloaded,
    ReadOnly,
    Unavailable,
    VectronError,
)
from vectron_p2p.model.ids import Address
from vectron_p2p.protocol import messages

A, B, C = (Address("127.0.0.1", port) for port in (1, 2, 3))
DONE = messages.Done()
ASK = messages.ListCollections()
DELETE = messages.Delete("docs", [1], "quorum", "op")


class World:
    """Drives flows: `answer(call)` gives replies or raises; each call takes `latency` seconds."""

    def __init__(
        self,
        answer: Callable[[Call], Any],
        *seeds: Address,
        latency: float = 1 / 64,  # exact in binary
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.now = 0.0
        self.answer = answer
        self.latency = latency
        self.calls: list[Call] = []
        self.sleeps: list[float] = []
        self.widths: list[int] = []
        self.operations = 0
        self.session = Session(
            seeds or (A, B, C),
            timeout=timeout,
            now=lambda: self.now,
            rng=random.Random(7),
            operation_id=self._operation_id,
            retry=retry,
        )
        self.session.answered(self.session.addresses[0])

    def _operation_id(self) -> str:
        self.operations += 1
        return f"op{self.operations}"

    def run(self, flow: Flow[Any]) -> Any:
        try:
            step = next(flow)
            while True:
                if isinstance(step, Call):
                    self.calls.append(step)
                    self.now += self.latency
                    try:
                        reply = self.answer(step)
                    except (VectronError, LinkLost) as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(reply)
                elif isinstance(step, Together):
                    self.widths.append(step.width)
                    step = flow.send(self._one_by_one(step))
                else:
                    assert step.seconds > 0
                    self.sleeps.append(step.seconds)
                    self.now += step.seconds
                    step = flow.send(None)
        except StopIteration as stop:
            return stop.value

    def _one_by_one(self, step: Together) -> list[Any]:
        outcomes: list[Any] = [UNDONE] * len(step.flows)
        for number, flow in enumerate(step.flows):
            try:
                outcomes[number] = self.run(flow)
            except Exception as error:
                outcomes[number] = error
                break
        return outcomes

    def ask(self, message: Any = ASK, reply_type: type = messages.Done, **options: Any) -> Any:
        return self.run(ask(self.session, message, reply_type, **options))

    @property
    def asked(self) -> list[Address]:
        return [call.address for call in self.calls]


def script(*answers: Any) -> Callable[[Call], Any]:
    """Answers one after another; the last one is repeated."""
    left = list(answers)

    def answer(_: Call) -> Any:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def down(*addresses: Address, sent: bool = False) -> Callable[[Call], Any]:
    def answer(call: Call) -> Any:
        if call.address in addresses:
            raise LinkLost(f"{call.address}: refused", sent=sent)
        return DONE

    return answer


def test_one_call_when_the_first_node_answers() -> None:
    world = World(script(DONE))
    assert world.ask() == DONE
    assert world.asked == [A]
    assert not world.sleeps


def test_the_time_left_travels_with_the_call() -> None:
    world = World(script(DONE))
    world.ask(timeout=4.0)
    assert world.calls[0].timeout == 4.0 + GRACE_S
    assert world.calls[0].dial_timeout == DIAL_ELSEWHERE_S


def test_dialling_the_only_node_may_take_longer() -> None:
    world = World(script(DONE), A)
    world.ask()
    world.ask(timeout=2.0)
    assert [call.dial_timeout for call in world.calls] == [DIAL_S, 2.0]


def test_a_silent_node_is_left_sooner_when_there_is_another() -> None:
    for seeds, patience in (((A, B), SILENCE_ELSEWHERE_S), ((A,), SILENCE_S)):
        world = World(script(DONE), *seeds)
        world.ask()
        assert world.calls[0].silence_timeout == patience


def test_failover_is_immediate_and_sticks() -> None:
    world = World(down(A))
    assert world.ask() == DONE
    assert world.asked[0] == A
    assert len(world.calls) == 2
    assert not world.sleeps
    world.ask()
    assert world.asked[2] == world.asked[1]


def test_every_address_is_tried_before_a_pause() -> None:
    world = World(down(A, B, C), timeout=3.0)
    with pytest.raises(Unavailable, match="no node can be reached"):
        world.ask()
    assert sorted(world.asked[:3]) == [A, B, C]
    assert sorted(world.asked[3:6]) == [A, B, C]
    assert len(world.sleeps) == pytest.approx(len(world.calls) / 3, abs=1)


def test_a_cluster_that_comes_back_is_found_before_the_deadline() -> None:
    world = World(lambda call: down(A, B, C)(call) if world.now < 20 else DONE)
    assert world.ask() == DONE
    assert 20 <= world.now < 27


def test_lost_for_good_ends_at_the_deadline() -> None:
    world = World(down(A, B, C), timeout=10.0)
    with pytest.raises(Unavailable) as caught:
        world.ask()
    assert caught.value.retryable
    assert 9.5 <= world.now <= 10.5


def test_a_request_that_may_have_arrived_ends_as_unknown() -> None:
    world = World(down(A, B, C, sent=True), timeout=2.0)
    with pytest.raises(DeadlineExceeded, match="may or may not have been applied"):
        world.ask()


def test_patience_with_an_unreachable_cluster_is_configurable() -> None:
    world = World(down(A, B, C), retry=RetryPolicy(unreachable_s=2.0))
    with pytest.raises(Unavailable):
        world.ask()
    assert 2 <= world.now < 8


@pytest.mark.parametrize(
    "error",
    [InvalidArgument("no", field="k"), NotFound("no"), AlreadyExists("no"), Internal("no"), DeadlineExceeded("no")],
)
def test_errors_that_a_retry_cannot_mend_are_raised_at_once(error: VectronError) -> None:
    world = World(script(error))
    with pytest.raises(type(error)) as caught:
        world.ask()
    assert caught.value is error
    assert len(world.calls) == 1


@pytest.mark.parametrize(
    "error", [Unavailable("x"), ClockSkew("x"), ReadOnly("x"), ConsistencyError("x", acked=1, required=2)]
)
def test_not_now_is_asked_again_elsewhere_after_a_pause(error: VectronError) -> None:
    world = World(script(error, error, DONE))
    assert world.ask() == DONE
    assert len(set(world.asked)) == 3
    assert len(world.sleeps) == 2


def test_not_now_is_taken_a_bounded_number_of_times() -> None:
    world = World(script(Unavailable("shards", missing_shards=[3])))
    with pytest.raises(Unavailable) as caught:
        world.ask()
    assert caught.value.missing_shards == [3]
    assert len(world.calls) == RetryPolicy().refusals + 1
    assert world.now < 10


def test_a_quorum_out_of_reach_is_reported_without_a_pause_after_all_were_asked() -> None:
    world = World(script(ConsistencyError("no quorum", acked=0, required=2)))
    with pytest.raises(ConsistencyError):
        world.ask()
    assert sorted(world.asked) == [A, B, C]
    assert not world.sleeps


def test_a_node_that_is_cut_off_does_not_speak_for_the_cluster() -> None:
    world = World(
        lambda call: script(ConsistencyError("cut off", acked=0, required=2))(call) if call.address == A else DONE
    )
    assert world.ask() == DONE


def test_out_of_reach_stays_the_answer_when_the_others_are_down() -> None:
    def answer(call: Call) -> Any:
        if call.address == A:
            raise ConsistencyError("no quorum", acked=0, required=2)
        raise LinkLost("refused", sent=False)

    world = World(answer)
    with pytest.raises(ConsistencyError):
        world.ask()
    assert not world.sleeps


def test_a_write_that_too_few_owners_took_is_unknown_whatever_a_later_attempt_says() -> None:
    few, none = (ConsistencyError("too few", acked=acked, required=2) for acked in (1, 0))
    world = World(script(few, none))
    with pytest.raises(ConsistencyError) as caught:
        world.ask(DELETE)
    assert caught.value.acked == 1
    assert "unknown" in caught.value.message


def test_a_write_that_too_few_owners_took_at_first_is_not_over_before_its_stamp_is_behind_every_clock() -> None:
    first = ConsistencyError("one of two", acked=1, required=2)
    world = World(script(first, DONE))
    assert world.ask(DELETE) == DONE
    assert world.now >= SKEW_S
    read = World(script(first, DONE))
    assert read.ask() == DONE
    assert read.now < SKEW_S


def test_overload_is_waited_out() -> None:
    world = World(lambda _: DONE if world.now > 12 else script(Overloaded("busy", retry_after=0.4))(_))
    assert world.ask() == DONE
    assert all(pause >= 0.4 for pause in world.sleeps)


def test_overload_to_the_end_is_what_is_raised() -> None:
    world = World(script(Overloaded("busy", retry_after=0.4)), timeout=3.0)
    with pytest.raises(Overloaded):
        world.ask()
    assert world.now <= 3.0


def test_one_deadline_holds_for_all_attempts() -> None:
    world = World(script(Unavailable("x")), latency=2.0, timeout=5.0, retry=RetryPolicy(refusals=100))
    with pytest.raises(Unavailable):
        world.ask()
    assert world.now <= 7.0
    assert world.calls[0].timeout == 5.5
    assert world.calls[-1].timeout < 3.5


def test_an_answer_of_the_wrong_kind_is_a_defect() -> None:
    world = World(script(messages.CountReply(1)))
    with pytest.raises(Internal, match="CountReply"):
        world.ask()


def test_spread_chooses_the_seed_and_leaves_the_preference() -> None:
    world = World(script(DONE))
    world.ask(spread=2)
    world.ask()
    assert world.asked == [C, A]


@pytest.mark.parametrize("width", [1, 2])
def test_parts_share_one_deadline_and_say_how_far_they_came(width: int) -> None:
    world = World(script(DONE, DONE, NotFound("gone")))
    with pytest.raises(NotFound, match="2 of 4 parts") as caught:
        world.run(ask_each(world.session, [ASK] * 4, messages.Done, width=width))
    assert "2 of 4 parts" in str(caught.value)


@pytest.mark.parametrize("width", [1, 2])
def test_parts_stop_at_the_deadline(width: int) -> None:
    world = World(script(DONE), latency=2.0)
    with pytest.raises(DeadlineExceeded, match="2 of 9 parts"):
        world.run(ask_each(world.session, [ASK] * 9, messages.Done, timeout=4.0, width=width))
    assert len(world.calls) == 2


@pytest.mark.parametrize("width", [1, 2])
def test_each_part_has_its_own_retries(width: int) -> None:
    world = World(script(DONE, LinkLost("x", sent=True), DONE, Unavailable("x"), DONE))
    assert world.run(ask_each(world.session, [ASK] * 3, messages.Done, width=width)) == [DONE] * 3


def test_parts_go_one_after_another_unless_told() -> None:
    world = World(script(DONE))
    world.run(ask_each(world.session, [ASK] * 3, messages.Done))
    assert world.widths == []
    world.run(ask_each(world.session, [ASK] * 3, messages.Done, width=2))
    assert world.widths == [2]


def test_a_defect_in_one_of_several_parts_is_raised_as_it_is() -> None:
    world = World(script(DONE, ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        world.run(ask_each(world.session, [ASK] * 3, messages.Done, width=2))


def test_retries_of_a_write_carry_the_same_operation_id() -> None:
    world = World(script(LinkLost("x", sent=True), Unavailable("x"), ClockSkew("x"), messages.WriteReply(2)))
    result = world.run(
        point_operations.upsert(world.session, "docs", None, [1, 2], [[1.0, 2.0], [3.0, 4.0]], None, "quorum")
    )
    assert result.count == 2
    assert {call.message.operation_id for call in world.calls} == {result.operation_id} == {"op1"}
    assert len({call.message.vectors for call in world.calls}) == 1


def test_creating_retries_with_one_operation_id_and_learns_the_epoch() -> None:
    created = messages.CollectionReply(asdict(collection_info()))
    cluster = messages.ClusterReply(asdict(cluster_info(address="10.0.0.9:7700", epoch=44)))
    world = World(script(Unavailable("x"), LinkLost("x", sent=True), created, cluster))
    options = {"dimension": 3, "metric": "l2", "shards": None, "replicas": 3, "m": 16, "ef_construction": 100}
    info = world.run(operations.create_collection(world.session, "docs", **options, if_not_exists=False))
    assert info == collection_info()
    assert {call.message.operation_id for call in world.calls[:3]} == {"op1"}
    assert world.session.epoch == 44
    assert world.session.addresses[3:] == (Address("10.0.0.9", 7700),)


def test_what_follows_a_creation_has_the_time_that_is_left_and_fails_without_harm() -> None:
    created = messages.CollectionReply(asdict(collection_info()))
    silent = LinkLost("no answer", sent=True)
    world = World(lambda call: script(created if len(world.calls) == 1 else silent)(call), latency=2.0, timeout=5.0)
    options = {"dimension": 3, "metric": "l2", "shards": None, "replicas": 3, "m": 16, "ef_construction": 100}
    assert world.run(operations.create_collection(world.session, "docs", **options, if_not_exists=False)) == (
        collection_info()
    )
    assert len(world.calls) > 1
    assert world.now <= 5.0 + world.latency  # a call that began in time may end a little later


def test_members_are_learnt_whatever_the_node_that_answers_thinks_of_their_liveness() -> None:
    info = asdict(cluster_info())
    info["nodes"] = [
        asdict(node_info("10.0.0.1:1")),
        asdict(node_info("10.0.0.2:1", liveness="dead")),
        asdict(node_info("10.0.0.3:1", state="removed")),
        asdict(node_info("no address")),
        asdict(node_info("10.0.0.4:1", state="draining", liveness="suspect")),
    ]
    world = World(script(messages.ClusterReply(info)))
    world.run(operations.cluster(world.session))
    assert world.session.addresses[3:] == tuple(Address(f"10.0.0.{n}", 1) for n in (1, 2, 4))


def search(world: World, **options: Any) -> Any:
    defaults: dict[str, Any] = {
        "k": 10, "filter": None, "ef": None, "exact": False, "offset": 0, "score_threshold": None,
        "with_payload": True, "with_vector": False, "consistency": "one", "explain": False,
    }  # fmt: skip
    return world.run(
        point_operations.search(world.session, "docs", [1.0], None, **{"timeout": None, **defaults, **options})
    )


def test_a_search_tells_the_node_the_time_left_at_each_attempt() -> None:
    empty = messages.SearchReply([messages.HitList([], b"", [], [], b"")], [2], 1.0, None)
    world = World(script(LinkLost("x", sent=True), empty), latency=1.0)
    result = search(world, timeout=5.0)
    assert [call.message.timeout for call in world.calls] == [5.0, 4.0]
    assert [call.timeout for call in world.calls] == [5.0 + GRACE_S, 4.0 + GRACE_S]
    assert result.partial
    assert result.missing_shards == [2]


def test_a_search_without_timeout_has_that_of_the_client() -> None:
    empty = messages.SearchReply([messages.HitList([], b"", [], [], b"")], [], 1.0, None)
    world = World(script(empty), timeout=12.0)
    search(world)
    assert world.calls[0].message.timeout == 12.0


@pytest.mark.parametrize(("with_payload", "sizes"), [(False, [128, 512, 385]), (True, [64] + [256] * 7 + [145])])
def test_a_batch_is_cut_into_requests_that_a_node_takes(with_payload: bool, sizes: list[int]) -> None:
    nothing = messages.HitList([], b"", [], [], b"")
    world = World(lambda call: messages.SearchReply([nothing] * call.message.count, [], 1.0, None))
    options = {
        "k": 10, "filter": None, "ef": None, "exact": False, "offset": 0, "score_threshold": None,
        "with_payload": with_payload, "with_vector": False, "consistency": "one", "explain": False,
    }  # fmt: skip
    queries = [[1.0, 2.0]] * sum(sizes)
    assert len(world.run(point_operations.search_batch(world.session, "docs", queries, None, **options))) == sum(sizes)
    assert [call.message.count for call in world.calls] == sizes
    assert world.widths == [2]
    times = [call.message.timeout for call in world.calls]
    assert times == [30.0 - at / 64 for at in range(len(sizes))]  # what is left of the call's when each is begun
