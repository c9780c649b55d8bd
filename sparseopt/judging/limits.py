"""What a file may ask of this process. A file that asks for more is refused before it is obeyed.

Two rules leave little to choose: an array must have its bytes in the file that declares it, and
what is not in the file but computed from it (inflated, repeated, broadcast, padded) is bounded by
the numbers below. They are far above anything that people train, and low enough for a laptop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

TEXT_BYTES = 1 << 30
"""Size of a text file."""

DIRECTORY_BYTES = 1 << 24
"""Size of the table of contents of an archive: about 150,000 entries."""

INFLATED_BYTES = 1 << 30
"""What all compressed entries of one archive may inflate to."""

MESSAGES = 2_000_000
"""Fields of a protobuf message: each takes about a hundred bytes once it is parsed."""

EMPTY_SIZES = 1 << 20
"""Product of the other sizes of an array of which one is 0: they have no bytes in the file."""

GRAPH_BYTES = 1 << 27
"""Size of the JSON of the graph in a .pt2 file, and of the pickle that lists its tensors."""

DENSE_ENTRIES = 1 << 27
"""Entries of a sparse array once it is written out."""

NODES = 100_000
"""Nodes of a network's graph, functions written out."""

PROGRAM_NODES = 20_000
"""Nodes of the graph in a .pt2 file: torch takes a few milliseconds for each."""

HELD_BYTES = 1 << 27
"""Weights of a network that are copied into memory; of larger ones the files are mapped."""

COMPUTED_ENTRIES = 1 << 28
"""Numbers that reading one network computes and keeps: constants, positions, windows, together."""

COMPUTED_WORK = 10**10
"""Numbers that computing constants of one network may touch."""

VALUE_ENTRIES = 1 << 27
"""Entries of one value inside a network: a volume of 512 cells a side."""

LIVE_ENTRIES = 1 << 29
"""Entries of the values that must be held at once to evaluate a network."""

EDGES = 10**13
"""Edges between the neurons of a network: a pass over them takes an hour."""

COMPARED_EDGES = 2 * 10**11
"""Edges up to which a loaded network is compared with the software that it comes from.

Those of pools and other windows count 32 times: they are gone through cell by cell.
"""


def hides_sizes(shape: Sequence[int]) -> bool:
    """Whether an array without entries has sizes that are too large to go through."""
    return 0 in shape and math.prod(max(n, 1) for n in shape) > EMPTY_SIZES
