"""Batches of PyTorch modules: the axis that is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sparseopt as so


def test_a_batch_of_examples_is_one_sample_each() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    network = so.load_network(model, example=torch.zeros(8, 3, 6, 6))
    assert (network.input_shape, network.output_shape) == ((3, 6, 6), (2,))
    x = torch.randn(5, 3, 6, 6)
    right = model(x).detach().numpy()
    np.testing.assert_allclose(network.run(x.numpy()), right, rtol=1e-4, atol=1e-5)


def test_a_sample_of_two_axes_is_no_batch() -> None:
    model = nn.Sequential(nn.Flatten(0), nn.Linear(12, 2))
    network = so.load_network(model, example=torch.zeros(3, 4))
    assert network.input_shape == (3, 4)
    unbatched = so.load_network(nn.Conv2d(3, 2, 1), example=torch.zeros(3, 4, 4))
    assert unbatched.output_shape == (2, 4, 4)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_exported_programs_and_files(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    x = torch.randn(4, 3, 4)
    right = model(x).detach().numpy()
    fixed = torch.export.export(model, (x,))
    open_batch = torch.export.export(
        model, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=64)},)
    )
    for program in (fixed, open_batch, fixed.run_decompositions()):
        network = so.load_network(program)
        assert network.input_shape == (3, 4)
        np.testing.assert_allclose(network.run(x.numpy()), right, rtol=1e-4, atol=1e-5)
    path = tmp_path / "model.pt2"
    torch.export.save(fixed, path)
    np.testing.assert_allclose(so.load_network(path).run(x.numpy()), right, rtol=1e-4, atol=1e-5)
    for part in (b"", b"junk", path.read_bytes()[:500]):
        path.write_bytes(part)
        with pytest.raises(so.ProblemError, match="not a program saved by"):
            so.load_network(path)


def test_open_sizes_need_an_example() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=4), 3: 6}
    program = torch.export.export(model, (torch.zeros(2, 1, 8, 6),), dynamic_shapes=(dims,))
    with pytest.raises(so.ProblemError, match="pass example="):
        so.load_network(program)
    assert so.load_network(program, example=torch.zeros(1, 1, 9, 6)).input_shape == (1, 9, 6)
    with pytest.raises(so.ProblemError, match=r"the program takes \(\?, 1, \?, 6\)"):
        so.load_network(program, example=torch.zeros(1, 1, 9, 7))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_decomposed_programs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(16, 3),
        nn.LogSoftmax(1),
    ).eval()
    x = torch.randn(1, 3, 8, 8)
    program = torch.export.export(model, (x,)).run_decompositions()
    first, second = so.load_network(program), so.load_network(model, example=x)
    np.testing.assert_allclose(first.run(x.numpy()), second.run(x.numpy()), rtol=1e-5, atol=1e-6)
    assert so.solve(so.PathNorm(first)).answer.value == pytest.approx(
        so.solve(so.PathNorm(second)).answer.value
    )
