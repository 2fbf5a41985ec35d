"""Nemesis: real node processes, real sockets, faults between them, and checkers of what was acknowledged.

    python -m simulations.nemesis --minutes 30 --nodes 5 --seed 7

`schedule` draws the faults from the seed; `nemesis` does them; `workload` reads and writes meanwhile and remembers what
was acknowledged; `checks` looks at the end state; `report` and `picture` tell. Two fabrics carry the traffic: `proxy`
(anywhere: a TCP and UDP proxy in front of each node) and `switch` (root on Linux: a network namespace per node, its
packets switched by a program).
"""
