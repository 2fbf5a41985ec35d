"""What must hold of a cluster under faults and after them: a module per invariant, each named in its docstring.

Owns the judging alone. The checks look at running nodes as tests do, and at what clients were told; they know nothing
of seeds and schedules, so scenarios of other kinds use them too.
"""
