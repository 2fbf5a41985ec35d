"""The node process: drives the pure cores on the runtime it is handed.

Owns start and stop, the drivers, the two sides of a request (`coordinator`: the node a client talks to; `replica`: the
owner of a shard) and the background services. Everything here reaches time, threads, network, disk and randomness only
through `runtime.Runtime`, so that the same code runs in production and in simulation.
"""
