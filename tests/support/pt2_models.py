"""Small programs for the tests of .pt2 files."""

from __future__ import annotations

import torch
from torch import nn
from torch._export.serde.serialize import serialize


class Scaled(nn.Module):
    """A layer, a constant and a list of pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("gain", torch.arange(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, *_ = torch.split(self.layer(x).relu() * self.gain, [2, 1], dim=1)
        return first + torch.ones(2)


def old_entries(program: torch.export.ExportedProgram) -> dict[str, bytes]:
    """Entries of the layout before torch 2.8, which kept tensors in pickles."""
    parts = serialize(program)
    return {
        "version": b"8.8",
        "serialized_exported_program.json": parts.exported_program,
        "serialized_state_dict.pt": parts.state_dict,
        "serialized_constants.pt": parts.constants,
        "serialized_example_inputs.pt": parts.example_inputs,
    }
