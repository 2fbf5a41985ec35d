"""One collection held in a dict behind a `FakeNode`: enough for a client to see its own writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.unit.client.fake_node import FakeNode, reply_with_info
from vectron_p2p.model.errors import InvalidArgument, NotFound
from vectron_p2p.protocol import messages

VERSION = bytes(range(40))


class MemoryNode(FakeNode):
    def __init__(self, **options: Any) -> None:
        self.rows: dict[int | str, tuple[bytes, bytes]] = {}
        self.dimension = 3
        self.id = "c1"
        self.refused: set[int | str] = set()
        """Ids of points that it does not take."""
        self.down_after: int | None = None
        """Upserts that it takes before it takes none any more."""
        super().__init__(self.reply, **options)

    def reply(self, message: Any) -> Any:
        if isinstance(message, messages.DescribeCollection):
            reply: Any = reply_with_info(message)
            return messages.CollectionReply({**reply.info, "dimension": self.dimension, "id": self.id})
        if isinstance(message, messages.Upsert):
            if self.down_after is not None:
                if not self.down_after:
                    raise NotFound("the collection is gone")
                self.down_after -= 1
            if self.refused & set(message.ids):
                raise InvalidArgument("one of these is not to its taste", field="vector")
            width = 4 * message.dimension
            for i, point_id in enumerate(message.ids):
                self.rows[point_id] = message.vectors[width * i : width * (i + 1)], message.payloads[i]
            return messages.WriteReply(len(message.ids))
        if isinstance(message, messages.Delete):
            for point_id in message.ids:
                self.rows.pop(point_id, None)
            return messages.WriteReply(len(message.ids))
        if isinstance(message, messages.Get):
            found = [self.rows.get(point_id) for point_id in message.ids]
            return messages.GetReply(
                [row and VERSION for row in found],
                [row and row[0] if message.with_vector else None for row in found],
                [row and row[1] if message.with_payload else None for row in found],
            )
        if isinstance(message, messages.Search):
            return messages.SearchReply(
                [self._hits(message)] * message.count, [], 1.5, [{"shard": 0}] if message.explain else None
            )
        if isinstance(message, messages.Count):
            return messages.CountReply(len(self.rows))
        if isinstance(message, messages.Scroll):
            ids = list(self.rows)
            start = int(message.cursor or 0)
            page = ids[start : start + message.limit]
            rest = str(start + len(page)) if start + len(page) < len(ids) else None
            vectors = b"".join(self.rows[i][0] for i in page) if message.with_vector else b""
            return messages.ScrollReply(page, [VERSION] * len(page), [self.rows[i][1] for i in page], vectors, rest)
        return reply_with_info(message)

    def _hits(self, message: messages.Search) -> messages.HitList:
        ids = [i for i in self.rows if i != message.id][message.offset : message.offset + message.k]
        return messages.HitList(
            ids,
            np.linspace(1, 0, len(ids), dtype="<f4").tobytes(),
            [VERSION] * len(ids),
            [self.rows[i][1] for i in ids] if message.with_payload else [],
            b"".join(self.rows[i][0] for i in ids) if message.with_vector else b"",
        )
