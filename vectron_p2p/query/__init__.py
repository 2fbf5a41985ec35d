"""Searches as pure arithmetic: filters, scores, plans and the merging of hits.

Owns what a filter means, what a score is, when a scan beats a graph, and how lists of hits become one. Must not know
where points are stored, how they are indexed or how owners are asked.
"""
