"""An honest .pt2 file, and its entries."""

from __future__ import annotations

import io
import zipfile

import pytest
import torch
from pt2_models import Scaled


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    dims = ({0: torch.export.Dim("n")},)
    return torch.export.export(Scaled().eval(), (torch.zeros(2, 4),), dynamic_shapes=dims)


@pytest.fixture(scope="module")
def entries(program: torch.export.ExportedProgram) -> dict[str, bytes]:
    """Entries of an honest file, without the folder that they are in."""
    stream = io.BytesIO()
    torch.export.save(program, stream)
    with zipfile.ZipFile(stream) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
