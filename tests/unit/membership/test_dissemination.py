from __future__ import annotations

import pytest

from vectron_p2p.membership.dissemination import Dissemination, retransmit_limit
from vectron_p2p.membership.messages import Incarnation, Update
from vectron_p2p.membership.wire import UPDATES_BUDGET, update_size
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness


def about(name: str, *, counter: int = 0, liveness: Liveness = Liveness.ALIVE, host: str = "h") -> Update:
    return Update(NodeId(name), Address(host, 1), Incarnation(1, counter), liveness, NodeId(name))


def nodes(updates: tuple[Update, ...]) -> list[str]:
    return [update.node for update in updates]


@pytest.mark.parametrize(("members", "limit"), [(2, 4), (5, 4), (9, 4), (10, 8), (99, 8), (100, 12)])
def test_the_limit_grows_with_the_logarithm(members, limit):
    assert retransmit_limit(4, members) == limit


def test_an_update_leaves_so_often_and_no_oftener():
    news = Dissemination(4)
    news.put(about("a"))
    assert [len(news.take(5)) for _ in range(6)] == [1, 1, 1, 1, 0, 0]
    assert not news


def test_a_newer_word_replaces_the_older_and_starts_afresh():
    news = Dissemination(4)
    news.put(about("a"))
    news.take(5)
    news.put(about("a", counter=1))
    assert len(news) == 1
    told = [news.take(5) for _ in range(5)]
    assert [len(t) for t in told] == [1, 1, 1, 1, 0]
    assert told[0][0].incarnation.counter == 1


def test_the_least_told_goes_first():
    news = Dissemination(4)
    wide = "h" * 250
    for name in "abc":
        news.put(about(name, host=wide))
    assert nodes(news.take(5)) == ["a", "b"]  # two of this size fit
    assert nodes(news.take(5)) == ["c", "a"]
    assert nodes(news.take(5)) == ["b", "c"]


def test_what_is_put_first_is_not_repeated():
    news = Dissemination(4)
    news.put(about("a"))
    news.put(about("b"))
    first = about("a", counter=3)
    assert news.take(5, first)[0] is first
    assert nodes(news.take(5, first)) == ["a", "b"]
    assert nodes(Dissemination(4).take(5, first)) == ["a"]


def test_one_packet_takes_no_more_than_its_room():
    news = Dissemination(4)
    for index in range(100):
        news.put(about(f"node-{index:032d}", host="host.example.org"))
    taken = news.take(5)
    assert sum(map(update_size, taken)) <= UPDATES_BUDGET
    assert len(taken) >= 8


def test_dropping_and_clearing():
    news = Dissemination(4)
    news.put(about("a"))
    news.put(about("b"))
    news.drop(NodeId("a"))
    news.drop(NodeId("never"))
    assert nodes(news.take(5)) == ["b"]
    news.clear()
    assert news.take(5) == ()
