"""The vocabulary: ids, points, collections, filters, consistency, nodes and errors.

Owns the words that every other package speaks in. Must not know how anything is sent, stored or found: it imports
nothing of this project, and nothing that does input or output.
"""
