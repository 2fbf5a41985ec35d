"""A client's end of a connection, with a short way for a request that fits one frame and is alone under way.

The short way is what `Connection` does in the plainest case, in one step each way: nothing is queued, and an answer
that came as one whole frame, with nothing before or behind it, is read where it lies. All else is for `receive`.
Must not know what is asked. Invariant: the bytes sent are those of `send_request`; of what `answer` passes over
nothing is taken in, so `receive` finds the connection as if it had not been asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectron_p2p.protocol.connection import Connection
from vectron_p2p.protocol.errors import LocalProtocolError, RemoteProtocolError
from vectron_p2p.protocol.frames import MAX_BODY, Kind, body_of, encode_frame
from vectron_p2p.protocol.registry import decode

if TYPE_CHECKING:
    from vectron_p2p.protocol.messages import Hello

_REQUEST, _RESPONSE = Kind.REQUEST, Kind.RESPONSE


class ClientConnection(Connection):
    def __init__(self, hello: Hello) -> None:
        super().__init__("client", hello=hello)

    @property
    def clear(self) -> bool:
        """Whether a request may go the short way: nothing is queued, half read or under way."""
        return self.accepting and not self._in_flight and not self._out.pending and not self._reader.held

    def begin(self, body: bytes) -> tuple[int, bytes]:
        """The id of a request (`body`: its timeout, trace and message) and the bytes to write; `clear` must hold.

        From then on it is under way, as after `send_request`.
        """
        if len(body) > MAX_BODY:
            raise LocalProtocolError(f"a request of {len(body)} bytes does not fit one frame")
        self._last_id = request_id = self._last_id + 1
        self._in_flight[request_id] = True
        return request_id, encode_frame(_REQUEST, request_id, body)

    def answer(self, request_id: int, data: bytes) -> Any:
        """The answer to the one request under way, if `data` is that alone; None otherwise: give it to `receive`."""
        body = body_of(data, _RESPONSE, request_id)
        if body is None:
            return None
        try:
            message = decode(body)
        except RemoteProtocolError:
            return None
        del self._in_flight[request_id]
        return message
