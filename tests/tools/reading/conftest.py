"""A process that reads mutated files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confined import Reader


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(seconds=90) as process:
        yield process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")
