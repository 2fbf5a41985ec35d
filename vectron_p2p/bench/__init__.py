"""The benchmark: real nodes beside raw hnswlib, and other engines where installed, in one run.

Every speed stands beside the recall of the very answers it was measured on, and raw hnswlib takes its turns between
those of the nodes, so that both see the machine in the same state. Nothing here is used by a node.
"""
