"""`python -m simulations.swim`: membership alone at 3 to 1,000 members, as a table, JSON and a picture.

Exit code 1 when deaths are found too late, a living member is taken for dead, or it costs too much. Minutes, most of
them for the thousand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from simulations.swim.measure import Failed, Result, measure_alarms, measure_size
from simulations.swim.picture import draw
from simulations.swim.report import document, failures, table

SIZES = (3, 5, 10, 30, 100, 300, 1000)
KILLS = {3: 60, 5: 60, 10: 60, 30: 60, 100: 40, 300: 20, 1000: 12}
"""By size: the most that a few minutes allow. Half are power cuts, half crashes."""
LOSS = (0.01, 0.05, 0.1, 0.2, 0.3)
ALARM_NODES = (5, 50, 300)
ALARM_NODE_SECONDS = 18_000.0  # members times seconds of each run under loss, but an hour for few members


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulations.swim", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--kills", type=int, help="per size; default: fewer, the larger")
    parser.add_argument("--loss", type=float, nargs="*", default=LOSS, help="shares of packets lost")
    parser.add_argument("--alarm-nodes", type=int, nargs="*", default=ALARM_NODES, help="sizes for the runs with loss")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("swim"), help="folder of swim.json and swim.svg")
    options = parser.parse_args()
    result = Result()
    try:
        for nodes in options.sizes:
            _say(f"{nodes} members")
            result.sizes.append(measure_size(nodes, kills=options.kills or _kills(nodes), seed=options.seed))
        for nodes in options.alarm_nodes:
            for loss in options.loss:
                _say(f"{nodes} members, {100 * loss:g} % of all packets lost")
                seconds = min(3600.0, ALARM_NODE_SECONDS / nodes)
                result.alarms.append(measure_alarms(nodes, loss, seconds=seconds, seed=options.seed))
    except Failed as failed:
        _say(f"FAILED: {failed}")
        return 1
    given = {"seed": options.seed, "sizes": list(options.sizes), "loss": list(options.loss)}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "swim.json").write_text(json.dumps(document(result, given), indent=1) + "\n")
    (options.out / "swim.svg").write_text(draw(result))
    sys.stdout.write(table(result))
    for failure in (found := failures(result)):
        _say(f"FAILED: {failure}")
    _say(f"figures and picture: {options.out}")
    return 1 if found else 0


def _kills(nodes: int) -> int:
    return KILLS[min((size for size in KILLS if size >= nodes), default=max(KILLS))]


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
