"""The straight way of a single search: one request on a connection that is at hand, without a flow.

Nearly all searches ask what one before asked, of another vector, over a connection that has just answered, and are
answered in one piece. For these the bytes around the vector are kept (`Form`), and sending, waiting and reading are a
few calls in a row: it is what a search costs the interpreter that many threads share. Whatever is not plain goes the
general way, which begins here where `first` names an attempt that failed.

Owns no rule of its own: what is sent is what `requests.search` makes, and what follows from a failure is said in
`flows`. Shared by the threads of a client without a lock: a lost race makes a form twice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgpack

from vectron_p2p.client import points, requests, results
from vectron_p2p.client.flows import GRACE_S, Attempt, patience
from vectron_p2p.client.steps import LinkLost
from vectron_p2p.model.collections import MAX_DIMENSION
from vectron_p2p.model.errors import Internal, VectronError
from vectron_p2p.protocol.frames import MAX_BODY, PREFIX
from vectron_p2p.protocol.messages import SearchReply
from vectron_p2p.protocol.patterns import around_bulk
from vectron_p2p.protocol.requests import milliseconds

if TYPE_CHECKING:
    from vectron_p2p.client.session import Session
    from vectron_p2p.client.sync_transport import SocketTransport
    from vectron_p2p.model.points import SearchResult

MAX_AROUND = MAX_BODY - PREFIX.size - 4 * MAX_DIMENSION
MAX_FORMS = 64  # kinds of searches known at once; a program has a few. When there are more, all are made anew
MAX_NAME = 1024  # bytes of a filter that is kept: long ones list ids, and are not asked twice
_EFFORT = frozenset({int, type(None)})


class Form:
    """Searches that differ in their vector alone."""

    __slots__ = ("after", "before", "fits", "milliseconds", "timeout")

    def __init__(
        self,
        where: object,
        seconds: float,
        collection: str,
        size: int,
        k: int,
        ef: int | None,
        offset: int,
        approximate: bool,
        without_payload: bool,
        without_vector: bool,
        consistency: str,
    ) -> None:
        """`size`: bytes of the vector.

        Raises:
            InvalidArgument: There are no such searches.
        """
        request = requests.search(
            collection,
            vectors=bytes(size),
            count=1,
            dimension=size // 4,
            point_id=None,
            timeout=seconds,
            k=k,
            filter=where,
            ef=ef,
            exact=not approximate,
            offset=offset,
            score_threshold=None,
            with_payload=not without_payload,
            with_vector=not without_vector,
            consistency=consistency,
            explain=False,
        )
        self.before, self.after = around_bulk(request)
        self.timeout = seconds + GRACE_S
        self.milliseconds = milliseconds(self.timeout)
        self.fits = len(self.before) + len(self.after) <= MAX_AROUND
        """Whether such a search goes into one frame; with a long filter it does not."""

    def body(self, raw: bytes, trace: int) -> bytes:
        return b"".join((PREFIX.pack(self.milliseconds, trace), self.before, raw, self.after))


class StraightSearches:
    """The searches of one client."""

    def __init__(self, session: Session, transport: SocketTransport) -> None:
        self._session = session
        self._transport = transport
        self._forms: dict[tuple[Any, ...], Form] = {}

    def search(
        self,
        collection: str,
        vector: object,
        k: object,
        ef: object,
        offset: object,
        exact: object,
        with_payload: object,
        with_vector: object,
        consistency: object,
        where: object = None,
        timeout: float | None = None,
    ) -> SearchResult | Attempt | None:
        """The result; None: nothing was sent, the general way has to be gone; or the attempt after which it has to."""
        raw = points.plain_bytes(vector)
        if raw is None:
            return None
        # Equal is not the same: True would find the form of 1, and is no k.
        if type(k) is not int or type(ef) not in _EFFORT or type(offset) is not int or type(consistency) is not str:
            return None
        session = self._session
        seconds = session.timeout if timeout is None else timeout
        if type(seconds) is not float or not 0.0 < seconds < math.inf:
            return None
        now = session.now()
        address = session.first(now)
        if address is None or (link := self._transport.ready(address, now)) is None:
            return None
        trace = session.trace()
        try:
            key: tuple[Any, ...] = (
                seconds,
                collection,
                len(raw),
                k,
                ef,
                offset,
                not exact,
                not with_payload,
                not with_vector,
                consistency,
            )
            form = self._form(key, where)
            if not form.fits:
                return None
            reply = link.ask(form.body(raw, trace), now, form.timeout, patience(session))
        except LinkLost as error:
            self._transport.drop(address)
            return Attempt(address, now, trace, error)
        except VectronError as error:
            return Attempt(address, now, trace, error)
        finally:
            self._transport.give_back(address, link)
        if type(reply) is not SearchReply:
            return Attempt(address, now, trace, Internal(f"{address} answered Search with {type(reply).__name__}"))
        session.answered(address)
        return results.search_results(reply)[0]

    def _form(self, key: tuple[Any, ...], where: object) -> Form:
        """Raises InvalidArgument when there are no such searches."""
        name = None if where is None else _name(where)
        whole = (*key, name)
        form = self._forms.get(whole)
        if form is None:
            form = Form(where, *key)
            if name != b"":
                if len(self._forms) >= MAX_FORMS:
                    self._forms.clear()
                self._forms[whole] = form
        return form


def _name(where: object) -> bytes:
    """Bytes that only filters which are sent alike have in common; none if it is not worth while, or is not seen."""
    try:
        name: bytes = msgpack.packb(where, strict_types=True)
    except (TypeError, ValueError, OverflowError):  # a scalar of numpy, or what is no filter at all
        return b""
    return name if len(name) <= MAX_NAME else b""
