"""`ProcessCluster` itself: what it leaves behind, and what it leaves alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import psutil
import pytest

from tests.integration.nodes import PATIENCE
from vectron_p2p import testing
from vectron_p2p.testing import ProcessCluster
from vectron_p2p.testing.processes import ENDINGS, ProcessFailed, wait_for

pytestmark = pytest.mark.processes


def test_the_public_names() -> None:
    assert all(hasattr(testing, name) for name in testing.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = testing.nonsense


def test_it_leaves_no_process_no_folder_and_the_handlers_as_they_were() -> None:
    before = [signal.getsignal(number) for number in ENDINGS]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with pytest.raises(KeyError), ProcessCluster(2) as cluster:  # noqa: PT012
            cluster.start()
            processes = [psutil.Process(node.pid) for node in cluster.nodes]
            unnoted, cluster[1].process = cluster[1].process, None  # as if its start had been interrupted
            raise KeyError
        assert other.poll() is None  # a child of ours that the cluster did not start
        other.communicate(b"\n")
    assert unnoted is not None
    assert unnoted.wait(PATIENCE) == -signal.SIGKILL
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    assert not cluster.folder.exists()
    assert [signal.getsignal(number) for number in ENDINGS] == before


def test_a_signal_ends_the_block_in_order() -> None:
    with pytest.raises(SystemExit) as ended, ProcessCluster(1) as cluster:  # noqa: PT012
        cluster.start()
        process = psutil.Process(cluster[0].pid)
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert not process.is_running()


def test_it_works_outside_of_the_main_thread() -> None:
    found: list[str] = []

    def work() -> None:
        with ProcessCluster(1) as cluster:
            cluster.start()
            found.append(cluster[0].name)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert found == ["n0"]


def test_failures_say_what_the_node_said() -> None:
    with ProcessCluster(1, arguments=["--durability", "never"]) as cluster:
        with pytest.raises(ProcessFailed, match="'never' is not one of"):
            cluster.start()
        with pytest.raises(ProcessFailed, match="is not running"):
            cluster.kill(0)
    with pytest.raises(ProcessFailed, match="in vain for a miracle:\nnothing"):
        wait_for(lambda: None, 0.0, "a miracle", lambda: "nothing")
