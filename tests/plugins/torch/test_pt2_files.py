""".pt2 files of honest programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pt2_files import refused, write, write_old
from pt2_models import old_entries
from torch import nn

import sparseopt as so


def expected(program: torch.export.ExportedProgram, x: np.ndarray) -> np.ndarray:
    return program.module()(torch.from_numpy(x)).detach().numpy()


def test_both_ways_give_the_same_network(
    program: torch.export.ExportedProgram, entries: dict[str, bytes], tmp_path: Path
) -> None:
    first, second = so.load_network(program), so.load_network(write(tmp_path / "a.pt2", entries))
    assert [node.name for node in first.nodes] == [node.name for node in second.nodes]
    assert [node.origin for node in first.nodes] == [node.origin for node in second.nodes]
    assert "layer.weight" in second.parameters()
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    np.testing.assert_array_equal(first.run(x), second.run(x))
    np.testing.assert_allclose(second.run(x), expected(program, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layout", ["2.7", "2.8"])
def test_older_layouts(
    layout: str,
    program: torch.export.ExportedProgram,
    entries: dict[str, bytes],
    tmp_path: Path,
) -> None:
    path, old = tmp_path / "old.pt2", old_entries(program)
    if layout == "2.7":
        write_old(path, old)
    else:
        kept = {k: v for k, v in entries.items() if not k.startswith(("data/w", "data/c"))}
        kept["data/weights/model.pt"] = old["serialized_state_dict.pt"]
        kept["data/constants/model.pt"] = old["serialized_constants.pt"]
        write(path, kept)
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    found = so.load_network(path).run(x)
    np.testing.assert_allclose(found, expected(program, x), rtol=1e-5, atol=1e-6)


def test_open_sizes_come_from_the_example(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=4), 3: 6}
    saved = torch.export.export(module, (torch.zeros(2, 1, 8, 6),), dynamic_shapes=(dims,))
    path = tmp_path / "open.pt2"
    torch.export.save(saved, path)
    assert "pass example=" in refused(path)
    assert so.load_network(path, example=np.zeros((1, 1, 9, 6))).input_shape == (1, 9, 6)
    assert "the program takes (?, 1, ?, 6)" in refused(path, example=np.zeros((1, 1, 9, 7)))


def test_values_changed_in_place_and_operators_defined_by_others(tmp_path: Path) -> None:
    class Changed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = 2 * x
            y[:, 0] = 1
            y[:, 1:].relu_()
            return torch.einsum("ni,ij->nj", y, torch.eye(4))

    saved = torch.export.export(Changed(), (torch.zeros(1, 4),))
    path = tmp_path / "changed.pt2"
    torch.export.save(saved, path)
    x = np.random.default_rng(0).standard_normal((1, 4)).astype(np.float32)
    np.testing.assert_allclose(so.load_network(path).run(x), expected(saved, x), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:No complete tensor found")
def test_weights_that_share_memory(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("row", torch.arange(3.0).expand(2, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).relu()) * self.row[0]

    saved = torch.export.export(Tied(), (torch.zeros(1, 3),))
    path = tmp_path / "tied.pt2"
    torch.export.save(saved, path)
    x = np.random.default_rng(0).standard_normal((1, 3)).astype(np.float32)
    np.testing.assert_allclose(so.load_network(path).run(x), expected(saved, x), rtol=1e-5)
