"""How much is asked of whom: breakers and round trips of peers, the budget of hedges, token buckets.

Pure: `now` is handed in, seconds of any clock that does not go back. Must not know what calls are about, how they are
made, nor what a caller does when it is told to wait.
"""
