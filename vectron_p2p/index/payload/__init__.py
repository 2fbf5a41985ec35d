"""The payloads of a shard by field: which slots pass a filter, answered without reading a stored payload.

Every scalar of every payload is indexed. Slots are the row numbers: one is filled once and never used again, so all
here only grows, what a filter said of a slot stands for ever, and readers need no lock. Where the index cannot tell
(long texts, more distinct values than are kept, rows beyond the memory bound) it says so, never a guess: the stored
payload decides. Must not know how payloads are stored, nor which slots are alive.
"""
