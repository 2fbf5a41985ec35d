"""A short job in a forked child: how a graph is written without stopping its process.

The child has the memory as it was at the fork, and nothing else of its parent: it closes every descriptor at once (else
ports and connections of a dead parent would live on), dies with it, and takes no signals meant for it. It may only
compute and write files.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_FIRST_OF_OWN = 3  # 0, 1 and 2 are replaced, not closed: a file opened later must not become "standard error"
_FAILED = 1

# Loaded here, not in the child: a loader lock held by another thread at the fork would never be released there.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start(job: Callable[[], None]) -> int:
    """Fork a child that runs `job` and exits; returns its process id. For `wait`, on the thread that started it: the
    child dies when that thread ends.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        _detach(parent)
        job()
    except BaseException:  # nothing may return into the parent's code
        os._exit(_FAILED)
    os._exit(0)


def wait(child: int) -> bool:
    """Block until the child has ended; whether its job succeeded."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _detach(parent: int) -> None:
    os.closerange(_FIRST_OF_OWN, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(_FIRST_OF_OWN):
        os.dup2(null, standard)
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before that took effect
        os._exit(_FAILED)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
