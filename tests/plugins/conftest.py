"""Fixtures that the tests of several plugins share."""

from __future__ import annotations

import pytest
from sparseopt_pathnorm import layer_parts

from sparseopt.judging import limits


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Map weights of any size, and hold few of them in float64."""
    monkeypatch.setattr(limits, "HELD_BYTES", 1 << 10)
    monkeypatch.setattr(layer_parts, "MOST_WEIGHTS", 1 << 12)
