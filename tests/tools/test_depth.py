"""Path-norms along depth, against the path-norms of the networks cut after each layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu, Reshape
from sparseopt.networks.window import MaxPool
from sparseopt.tools.depth import norms_along_depth
from sparseopt.tools.reading.window_cells import max_window, pool_positions


def network(scale: float = 1.0) -> so.Network:
    rng = np.random.default_rng(3)
    draw = rng.standard_normal
    windows = tuple(max_window(axis, pool_positions(5, 2, 2), 5) for axis in (1, 2))
    return chain(
        (2, 5, 5),
        Conv(scale * draw((3, 2, 3, 3)), draw(3), padding=((1, 1), (1, 1))),
        Scale(draw((3, 1, 1)), draw((3, 1, 1))),
        Relu(),
        MaxPool(windows),
        Reshape((12,)),
        Dense(scale * draw((4, 12)), draw(4)),
        Relu(),
    )


@pytest.mark.parametrize("affine", ["as_is", "merged"])
@pytest.mark.parametrize("q", [0, 1, 2, np.inf])
@pytest.mark.parametrize("scale", [1.0, 1e-200])
def test_each_layer_is_the_norm_of_the_network_that_ends_there(
    q: float, affine: str, scale: float
) -> None:
    net = network(scale)
    profile = norms_along_depth(net, q, affine)
    assert profile.layers == ("1:Scale", "3:MaxPool", "5:Dense", "6:Relu")
    for name, total, largest in zip(
        profile.layers, profile.log10_total, profile.log10_largest, strict=True
    ):
        cut = replace(net, output=name)
        norm = so.solve(so.PathNorm(cut, q, 1, affine)).answer.per_output_log10
        power = norm if q in (0, np.inf) else q * norm
        top = power.max()
        expected = top if q == np.inf else top + np.log10(np.sum(10.0 ** (power - top)))
        assert total == pytest.approx(expected, abs=1e-9)
        assert largest == pytest.approx(top, abs=1e-9)


def test_the_last_entry_is_the_path_norm_and_survives_rescaling() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    factors = np.array([1.0, 128.0, 4096.0, 0.25])
    before = norms_along_depth(chain((3,), Dense(first), Relu(), Dense(second)))
    after = norms_along_depth(
        chain((3,), Dense(first * factors[:, None]), Relu(), Dense(second / factors))
    )
    assert after.log10_total[-1] == before.log10_total[-1]
    assert after.log10_total[0] != before.log10_total[0]


def test_another_affine_is_refused() -> None:
    with pytest.raises(so.ProblemError, match="merged"):
        norms_along_depth(network(), affine="both")


def test_no_layers() -> None:
    assert norms_along_depth(chain((3,))).layers == ()
