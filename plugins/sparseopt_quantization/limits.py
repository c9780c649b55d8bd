"""Numbers that the passes over pieces share."""

from __future__ import annotations

COMPILED_FROM = 1 << 15
"""Pieces from which loading the compiled kernels is worth its second."""
BYTES = 96
"""Of memory that one piece takes at the peak, about."""
SECONDS = 2e-7
"""That one piece takes, about: a pass is not interrupted."""
NOTHING = 2.0**-36
"""Of the square of the scaled vector: a rounded vector of less is taken for zero."""
FEW = 48
"""Pieces whose cost is computed exactly, at most."""
