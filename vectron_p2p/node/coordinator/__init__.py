"""The coordinator's side of a request: the node that a client happens to talk to, for the length of one call.

Owns how many owners are asked and what their answers add up to. Must not know what an owner keeps on its disk. Holds
no state between calls but the sends still under way to slow owners (`writes`).
"""
