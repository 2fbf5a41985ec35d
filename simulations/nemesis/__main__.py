"""`python -m simulations.nemesis`: run it, write the report, exit 1 when something fell short.

With `--registers one` it is the checker that is tested: exit 1 when it finds nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simulations.nemesis.running import Plan, run
from simulations.nemesis.schedule import Kind


def _kinds(text: str) -> tuple[Kind, ...]:
    try:
        return tuple(Kind(name) for name in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; the kinds are {', '.join(Kind)}") from None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulations.nemesis", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--rate", type=float, default=90.0, help="operations a second of all clients, if answers allow")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--kinds", type=_kinds, help="only these faults, comma-separated; default: drawn by the seed")
    parser.add_argument(
        "--clock", action="store_true", help="set wall clocks off too; needs libfaketime, slows all nodes"
    )
    parser.add_argument(
        "--fabric",
        choices=["proxy", "netns", "auto"],
        default="auto",
        help="what carries the traffic: a proxy before each node, or a network namespace per node (root); "
        "auto: namespaces where they are allowed",
    )
    parser.add_argument(
        "--registers",
        choices=["linearizable", "one"],
        help="clients compete for the same points at this consistency, and what they saw is checked for "
        'linearizability; with "one" that has to fail',
    )
    parser.add_argument("--out", type=Path, help="folder of the report; default: nemesis-SEED")
    options = parser.parse_args()
    plan = Plan(
        seed=options.seed,
        nodes=options.nodes,
        seconds=60 * options.minutes,
        clients=options.clients,
        rate=options.rate,
        shards=options.shards,
        kinds=options.kinds,
        clock=options.clock or Kind.CLOCK in (options.kinds or ()),
        fabric=options.fabric,
        registers=options.registers,
    )
    folder = options.out or Path(f"nemesis-{options.seed}")
    result = run(plan, folder, _say)
    sys.stdout.write(result.text())
    _say(f"report and picture: {folder}")
    if options.registers == "one":
        return 0 if result.convicted else 1
    return 1 if result.failures else 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
