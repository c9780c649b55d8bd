from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cupy_double
import pytest
from cuda_emulator import compiler


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[cupy_double.State]:
    """A stand-in for CuPy, with two devices; tensors of torch pass for those of a device.

    Nothing was measured of these devices, and figures go to a folder of the test.
    """
    if compiler() is None:
        pytest.skip("g++ is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch = pytest.importorskip("torch")
    stream = SimpleNamespace(cuda_stream=0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: stream)
    with cupy_double.installed() as state:
        yield state
