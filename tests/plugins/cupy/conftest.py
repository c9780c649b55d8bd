from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import cupy_double
import pytest
from cuda_emulator import compiler


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[cupy_double.State]:
    """A stand-in for CuPy, with two devices; tensors of torch pass for those of a device."""
    if compiler() is None:
        pytest.skip("g++ is not installed")
    torch = pytest.importorskip("torch")
    stream = SimpleNamespace(cuda_stream=0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: stream)
    with cupy_double.installed() as state:
        yield state
