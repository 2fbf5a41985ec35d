"""Threads that do one piece of work together, for as long as it takes; with the priority of who asks for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ThreadCrew:
    """`Crew`; of one, it is the caller alone."""

    def __init__(self, size: int) -> None:
        self.size = size

    def run(self, fn: Callable[[], None]) -> None:
        errors: list[Exception] = []

        def work() -> None:
            try:
                fn()
            except Exception as error:
                errors.append(error)

        helpers = [threading.Thread(target=work, name="vectron-crew", daemon=True) for _ in range(self.size - 1)]
        for helper in helpers:
            helper.start()
        work()
        for helper in helpers:
            helper.join()
        if errors:
            raise errors[0]
