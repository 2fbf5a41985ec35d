"""How soon a cluster is whole again after a node was cut off for long: members and replicas.

A node is cut off, clients included, for --minutes while the others are written to, read and searched. Then the network
is healed: how long until every node sees every node alive at one epoch, and all replicas are equal? Every acknowledged
operation is checked as in a nemesis run, whose network and clients these are. Real processes on this machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `simulations` is no part of the package

from _data import add_common_arguments, finish, say

from simulations.nemesis.running import Plan, run
from simulations.nemesis.schedule import Fault, Kind, Step

MAX_HEAL_S = 35.0
AWAY = 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=60.0, help="operations a second meanwhile")
    parser.add_argument("--fabric", choices=["proxy", "netns", "auto"], default="auto")
    add_common_arguments(parser)
    options = parser.parse_args()
    script = (Step((Fault(Kind.CUT_OFF, (AWAY,)),), 60 * options.minutes, 0.0),)
    plan = Plan(options.seed, options.nodes, rate=options.rate, script=script, fabric=options.fabric)
    with tempfile.TemporaryDirectory() as folder:
        found = run(plan, Path(folder), say)
    outcome, failures = found.outcome, list(found.failures)
    if outcome.agreed_after_s > MAX_HEAL_S:
        failures.append(f"members and replicas took {outcome.agreed_after_s:.1f} s, more than {MAX_HEAL_S:g} s")
    result: dict[str, Any] = {
        "minutes": options.minutes,
        "nodes": options.nodes,
        "fabric": plan.fabric,
        "healed_s": round(outcome.agreed_after_s, 1),
        "operations": len(found.operations),
        "shares": found.shares(),
        "rows_compared": outcome.rows_compared,
        "rows_different": outcome.rows_different,
    }
    return finish(options, result, failures)


if __name__ == "__main__":
    sys.exit(main())
