"""A gate that many share or one has alone: searches share a graph, linking and saving have it alone.

hnswlib takes no locks in a query, so a query during an insert, a resize or a fork reads torn structures.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate:
    """Phases alternate, so neither side starves: who waits to share while another has it alone goes next, and who waits
    to have it alone lets nobody else share first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._sharing = 0
        self._alone = False
        self._waiting_alone = 0
        self._waiting_shared = 0
        self._owed = 0  # sharers that waited through the last exclusive phase and go before the next one
        self.shared_entries = 0
        """How often the gate was shared; a reader of it learns whether anybody came since."""

    @property
    def open(self) -> bool:
        """Whether who comes to share it now would not wait."""
        return not (self._alone or self._waiting_alone or self._owed)

    @property
    def wanted(self) -> bool:
        """Whether anybody waits to share it."""
        return self._waiting_shared > 0

    def shared(self) -> Shared:
        """To be entered once."""
        return Shared(self)

    def enter_shared(self) -> None:
        with self._lock:
            if self._alone or self._waiting_alone or self._owed:
                self._wait_shared()
            self._sharing += 1
            self.shared_entries += 1

    def leave_shared(self) -> None:
        with self._lock:
            self._sharing -= 1
            if not self._sharing:
                self._changed.notify_all()

    def _wait_shared(self) -> None:
        self._waiting_shared += 1
        owed = False
        try:
            while True:
                if not self._alone and self._owed:
                    owed = True  # counted at the end of the phase that just ended
                    return
                if not self._alone and not self._waiting_alone:
                    return
                self._changed.wait()
        finally:
            self._waiting_shared -= 1
            if owed:
                self._owed -= 1
                if not self._owed:
                    self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._lock:
            self._waiting_alone += 1
            try:
                while self._alone or self._sharing or self._owed:
                    self._changed.wait()
                self._alone = True
            finally:
                self._waiting_alone -= 1
                if not self._alone:
                    self._changed.notify_all()
        try:
            yield
        finally:
            with self._lock:
                self._alone = False
                self._owed = self._waiting_shared
                self._changed.notify_all()


class Shared:
    """A share of a gate while it is entered; no generator, as every search takes one."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        self._gate.enter_shared()

    def __exit__(self, *_: object) -> None:
        self._gate.leave_shared()
