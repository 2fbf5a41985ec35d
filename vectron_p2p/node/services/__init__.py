"""Background services: each has `run()`, which goes on until cancelled, and `run_once()`, one round, for tests and
tools.
"""
