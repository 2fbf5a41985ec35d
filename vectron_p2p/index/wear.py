"""When a layer is worth a rebuild: much of it stands for no point any more, or its graph serves its points badly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectron_p2p.index.layer import Layer

GARBAGE_SHARE = 0.2  # dead labels take their part of every beam
URGENT_SHARE = 0.5  # beams are twice as wide then
GARBAGE_FLOOR = 1_000  # below that many a rebuild is not worth its work
DEAD_SLOT_SHARE = 0.6  # dead vectors only cost memory (and scans, while there is no graph)


def is_worn(layer: Layer) -> bool:
    """Whether there is much garbage, or the graph has lost points or got others than its projection was made for."""
    return layer.canary.dropped or layer.strained or _is_garbage(layer, GARBAGE_SHARE)


def is_urgent(layer: Layer) -> bool:
    """Whether there is so much garbage that a rebuild cannot wait for calm."""
    return _is_garbage(layer, URGENT_SHARE)


def _is_garbage(layer: Layer, share: float) -> bool:
    """Whether `share` of the labels, or most slots, are dead."""
    dead = layer.table.count - layer.table.live
    return layer.dead_labels >= max(GARBAGE_FLOOR, share * layer.labels) or dead >= max(
        4 * GARBAGE_FLOOR, DEAD_SLOT_SHARE * layer.table.count
    )
