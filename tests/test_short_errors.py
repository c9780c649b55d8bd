"""Errors about what stands in the wrong place are one short sentence, also of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.interface.printing import short
from sparseopt.networks import Dense, Network, Relu, chain

MATRIX = np.random.default_rng(0).random((30, 30))
SUPPORT = np.ones((30, 30), int)


def network() -> Network:
    return chain((30,), Dense(MATRIX), Relu(), Dense(MATRIX))


WRONG: dict[str, Callable[[], Any]] = {
    "supports apart": lambda: so.Closedness(SUPPORT, SUPPORT),  # type: ignore[arg-type]
    "supports apart, repaired": lambda: so.NearestClosedSupport(SUPPORT, SUPPORT),  # type: ignore
    "penalty": lambda: so.SparseRegression(MATRIX, MATRIX[0], MATRIX[0]),  # type: ignore
    "strength": lambda: so.L1(MATRIX[0]),  # type: ignore[arg-type]
    "norm": lambda: so.PathNorm(network(), MATRIX),  # type: ignore[arg-type]
    "ratio": lambda: so.prune(network(), MATRIX),  # type: ignore[call-overload]
    "pattern": lambda: so.KroneckerPattern(MATRIX, 1, 2, 3),  # type: ignore[arg-type]
    "architecture": lambda: so.Architecture(MATRIX),  # type: ignore[arg-type]
    "size": lambda: so.Architecture.square_dyadic(MATRIX),  # type: ignore[arg-type]
    "solver": lambda: so.solve(so.Closedness([SUPPORT, SUPPORT]), MATRIX),  # type: ignore
    "limit": lambda: so.solve(so.Closedness([SUPPORT, SUPPORT]), time_limit=MATRIX),  # type: ignore
    "accuracy": lambda: so.solve(so.Closedness([SUPPORT, SUPPORT]), tolerance=MATRIX),  # type: ignore
    "analyzers": lambda: so.analyze(network(), MATRIX),
    "sparsity": lambda: so.RecoveryGuarantee(MATRIX, MATRIX),  # type: ignore[arg-type]
    "count": lambda: so.CardinalityRegression(MATRIX, MATRIX[0], MATRIX),  # type: ignore[arg-type]
    "nuclear norm": lambda: so.NuclearNorm(MATRIX, MATRIX),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("place", WRONG)
def test_an_array_in_the_wrong_place(place: str) -> None:
    with pytest.raises(so.ProblemError) as raised:
        WRONG[place]()
    words = str(raised.value)
    assert len(words) < 200, words
    assert "\n" not in words
    assert "of shape (30" in words


def test_values_in_short() -> None:
    assert short(0.1) == "0.1"
    assert short(np.float64(0.1)) == repr(np.float64(0.1))
    assert short(np.zeros(())) == "array(0.)"
    assert short(np.zeros((0, 3))) == "a ndarray of shape (0, 3)"
    assert short(np.ndarray) == "<class 'numpy.ndarray'>"
    assert len(short("a" * 10**6)) <= 80
    assert len(short([[0] * 1000] * 1000)) < 400


def test_of_objects_whose_shape_raises() -> None:
    class Broken:
        @property
        def shape(self) -> tuple[int, ...]:
            raise RuntimeError("no shape")

    assert "Broken" in short(Broken())


def test_json_in_place_of_a_path() -> None:
    text = so.solve(so.Closedness([SUPPORT, SUPPORT])).to_json()
    with pytest.raises(so.ProblemError, match=r"pass so\.from_json\(text\)"):
        so.verify(text)
    for read in (so.load_network, so.analyze):
        with pytest.raises(so.ProblemError, match="give the path of a file") as raised:
            read(text)
        assert len(str(raised.value)) < 400
