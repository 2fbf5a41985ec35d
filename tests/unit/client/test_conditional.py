"""Conditional operations of the client: the requests they make, and when they are sent again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.test_flows import A, B, World
from vectron_p2p.client import point_operations, requests
from vectron_p2p.client.conditions import check_versions
from vectron_p2p.client.steps import Call, LinkLost
from vectron_p2p.model.errors import ConsistencyError, InvalidArgument, Overloaded, VersionConflict
from vectron_p2p.model.points import unpack_payload
from vectron_p2p.protocol import messages

V1, V2 = bytes(40).hex(), bytes(range(40)).hex()
DONE = messages.WriteReply(1)


def sent(answer: Any, flow: Any) -> list[Any]:
    """The requests that the flow `flow(session)` makes."""
    world = World(answer)
    world.run(flow(world.session))
    return [call.message for call in world.calls]


def upsert(session: Any, **options: Any) -> Any:
    rows = [(1, [1.0]), (2, [2.0]), (1, [3.0])]
    return point_operations.upsert(
        session, "docs", rows, None, None, None, options.pop("consistency", "quorum"), **options
    )


def test_plain_upserts_stay_plain() -> None:
    (plain,) = sent(lambda call: DONE, upsert)
    assert isinstance(plain, messages.Upsert)
    (linearizable,) = sent(lambda call: DONE, lambda session: upsert(session, consistency="linearizable"))
    assert isinstance(linearizable, messages.UpsertIf)
    assert (linearizable.mode, linearizable.if_versions, linearizable.retried) == ("upsert", [], False)


def test_versions_go_with_their_points_and_the_last_of_one_id_wins() -> None:
    (request,) = sent(lambda call: DONE, lambda session: upsert(session, if_version=[V1, None, V2]))
    assert isinstance(request, messages.UpsertIf)
    assert dict(zip(request.ids, request.if_versions, strict=True)) == {1: bytes.fromhex(V2), 2: None}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"mode": "replace"}, "mode"),
        ({"mode": None}, "mode"),
        ({"if_version": V1}, "if_version"),  # one for three points
        ({"if_version": [V1, V1, "x"]}, "if_version"),
        ({"if_version": [V1, V1, 7]}, "if_version"),
        ({"if_version": 7}, "if_version"),
        ({"mode": "insert", "if_version": [V1, V1, V1]}, "if_version"),
        ({"mode": "insert", "consistency": "one"}, "consistency"),
        ({"mode": "update", "consistency": "all"}, "consistency"),
    ],
)
def test_bad_conditions_name_the_argument(options: dict[str, Any], field: str) -> None:
    world = World(lambda call: DONE)
    with pytest.raises(InvalidArgument) as caught:
        world.run(upsert(world.session, **options))
    assert caught.value.field == field
    assert world.calls == []


def test_a_version_may_be_given_alone_for_one_point() -> None:
    assert check_versions(V2, ["a"], "update") == {"a": bytes.fromhex(V2)}
    assert check_versions(None, ["a"], "insert") == {}


def test_deletes_and_payload_changes_take_ids_or_a_filter() -> None:
    (one,) = sent(lambda call: DONE, lambda s: point_operations.delete(s, "docs", [1, 2], None, "linearizable"))
    assert one == messages.DeleteIf("docs", [1, 2], None, "op1")
    (two,) = sent(lambda call: DONE, lambda s: point_operations.delete(s, "docs", None, {}, "quorum"))
    assert two == messages.DeleteIf("docs", [], {}, "op1")
    (three,) = sent(
        lambda call: DONE, lambda s: point_operations.change_payload(s, "docs", [1, 1], None, update={"a": 1})
    )
    assert (three.ids, unpack_payload(three.update), three.remove) == ([1], {"a": 1}, [])
    (four,) = sent(
        lambda call: DONE, lambda s: point_operations.change_payload(s, "docs", None, {"a": 1}, remove=["a"])
    )
    assert (four.ids, four.filter, unpack_payload(four.update), four.remove) == ([], {"a": 1}, {}, ["a"])
    for ids, where in ((None, None), ([1], {})):
        with pytest.raises(InvalidArgument):
            sent(lambda call: DONE, lambda s, i=ids, w=where: point_operations.delete(s, "docs", i, w, "quorum"))
        with pytest.raises(InvalidArgument):
            requests.change_payload("docs", ids, where, update={"a": 1}, remove=None, operation_id="op")
    wrong: dict[str, Any]
    for wrong in ({"update": {}}, {"update": 3}, {"remove": "abc"}, {"remove": [1]}, {"remove": []}):
        with pytest.raises(InvalidArgument):
            requests.change_payload("docs", [1], None, operation_id="op", **{"update": None, "remove": None, **wrong})


def test_after_a_lost_answer_the_next_node_is_told_that_it_may_be_done() -> None:
    def answer(call: Call) -> Any:
        if call.address == A:
            raise LinkLost("gone", sent=True)
        return DONE

    first, second = sent(answer, lambda session: upsert(session, mode="insert"))
    assert (first.retried, second.retried) == (False, True)
    assert first.operation_id == second.operation_id


def test_before_anything_was_sent_the_next_node_is_asked_as_the_first() -> None:
    def answer(call: Call) -> Any:
        if call.address == A:
            raise LinkLost("refused", sent=False)
        if call.address == B and not tried:
            tried.append(call)
            raise Overloaded("later", retry_after=0.1)
        return DONE

    tried: list[Call] = []
    assert [each.retried for each in sent(answer, lambda session: upsert(session, mode="insert"))] in (
        [False] * 2,
        [False] * 3,
    )


@pytest.mark.parametrize(
    "error", [ConsistencyError("unknown", acked=1, required=2, retryable=False), VersionConflict("no", current=V1)]
)
def test_an_unknown_outcome_and_a_conflict_are_not_tried_again(error: Exception) -> None:
    def answer(call: Call) -> Any:
        raise error

    world = World(answer)
    with pytest.raises(type(error)):
        world.run(upsert(world.session, mode="insert"))
    assert len(world.calls) == 1
