"""The clients of a simulation: each module one kind, with operations whose answers can be judged."""
