"""Aids for tests and simulations, also of programs that use this package.

Owns stand-ins for the network, the disk, the clock and threads, with faults on demand, and whole clusters built on
them. No other package imports it.
"""
