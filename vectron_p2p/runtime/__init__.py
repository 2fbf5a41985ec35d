"""How code reaches time and threads: the interfaces it is handed, and the real implementations.

Production hands out the real ones, simulation its own (`vectron_p2p.testing`): no other package may call trio's
clock, `time`, `trio.to_thread`, `threading`, `uuid4`, `os.urandom` or the global `random`. Network and disk have
their interfaces in `net` and `storage`.
"""

from __future__ import annotations

from vectron_p2p.runtime.interfaces import Clock, CountedExecutor, Crew, Executor, Usage

__all__ = ["Clock", "CountedExecutor", "Crew", "Executor", "Usage"]
