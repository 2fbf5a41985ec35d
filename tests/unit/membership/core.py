"""One core under a microscope: `Core` holds a Swim with peers a, b, c, d and makes their messages."""

from __future__ import annotations

from random import Random

from vectron_p2p.membership import Effect, MemberSeed, SendPacket, SendStream, Swim, SwimConfig, Update
from vectron_p2p.membership.messages import Ack, Gossip, Incarnation, Message, Ping, PingReq
from vectron_p2p.model.ids import Address, NodeId
from vectron_p2p.model.nodes import Liveness

ME = NodeId("me")


def address(name: str) -> Address:
    return Address(f"host-{name}", 7700)


def word(
    name: str, liveness: Liveness, boot: int = 1, counter: int = 0, *, by: str | None = None, at: Address | None = None
) -> Update:
    return Update(NodeId(name), at or address(name), Incarnation(boot, counter), liveness, NodeId(by or name))


def alive(name: str, boot: int = 1, counter: int = 0, *, at: Address | None = None) -> Update:
    return word(name, Liveness.ALIVE, boot, counter, at=at)


def suspect(name: str, boot: int = 1, counter: int = 0, *, by: str) -> Update:
    return word(name, Liveness.SUSPECT, boot, counter, by=by)


def dead(name: str, boot: int = 1, counter: int = 0, *, by: str) -> Update:
    return word(name, Liveness.DEAD, boot, counter, by=by)


class Core:
    """Peers are known in incarnation 1.0, and the greetings are over."""

    def __init__(self, *peers: str, config: SwimConfig | None = None, known: bool = True, seed: int = 1) -> None:
        self.peers = peers or ("a", "b", "c", "d")
        self.now = 1000.0
        self.swim = Swim(ME, address("me"), config or SwimConfig.lan(), boot=1, random=Random(seed), now=self.now)
        self.first = self.swim.set_members([MemberSeed(NodeId(p), address(p)) for p in self.peers], self.now)
        if known:
            for peer in self.peers:
                self.tell(peer, Gossip((alive(peer),)))
            self.quiet()

    def tell(self, sender: str, message: Message, *, tcp: bool = False) -> list[Effect]:
        return self.swim.receive(message, NodeId(sender), None if tcp else address(sender), self.now)

    def gossip(self, sender: str, *updates: Update) -> list[Effect]:
        return self.tell(sender, Gossip(updates))

    def quiet(self, seconds: float = 3.0) -> None:
        """Let time pass while every peer answers every ping."""
        self.run(seconds, answering=self.peers)

    def run(self, seconds: float, *, answering: tuple[str, ...] = ()) -> list[Effect]:
        """Let time pass; peers in `answering` ack pings to themselves, and as relays those to each other."""
        end = self.now + seconds
        done: list[Effect] = []
        while self.swim.next_deadline <= end:
            self.now = max(self.now, self.swim.next_deadline)
            effects = self.swim.tick(self.now)
            done += effects
            while effects:
                effect = effects.pop(0)
                if isinstance(effect, SendPacket) and effect.node in answering:
                    message = effect.message
                    about = message.target if isinstance(message, Ping | PingReq) else None
                    if about in answering and isinstance(message, Ping | PingReq):
                        incarnation = self.incarnation(str(about))
                        ack = Ack(message.sequence, about, incarnation, self.swim.address(about) or address(about))
                        effects += self.tell(effect.node, ack)
        self.now = end
        return done

    def incarnation(self, name: str) -> Incarnation:
        known = next(view.incarnation for view in self.swim.members() if view.node == name)
        return max(known, Incarnation(1, 0))

    def sees(self, name: str) -> Liveness | None:
        return self.swim.liveness(NodeId(name))


def packets(effects: list[Effect], kind: type, to: str | None = None) -> list:
    """Messages of `kind` among UDP packets, to `to` if given."""
    return [
        e.message
        for e in effects
        if isinstance(e, SendPacket) and isinstance(e.message, kind) and (to is None or e.node == to)
    ]


def streams(effects: list[Effect], kind: type, to: str | None = None) -> list:
    return [
        e.message
        for e in effects
        if isinstance(e, SendStream) and isinstance(e.message, kind) and (to is None or e.node == to)
    ]
