"""Distances to low rank: proven bounds against singular values of 60 digits, whatever is fed in."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from sparseopt.judging import low_rank
from sparseopt.judging.figures import Figure
from sparseopt.judging.low_rank import DistanceToRank


def truth(blocks: np.ndarray, rank: int) -> Any:
    """Return the common distance of blocks (count, b, c) to a rank, with 60 digits."""
    with mpmath.workdps(60):
        total = mpmath.mpf(0)
        for block in blocks:
            entries = [[mpmath.mpmathify(complex(x)) for x in row] for row in block.tolist()]
            values = mpmath.svd_c(mpmath.matrix(entries), compute_uv=False)
            total += sum(values[k] ** 2 for k in range(rank, len(values)))
        return mpmath.sqrt(total)


def distance(blocks: np.ndarray, rank: int) -> Figure:
    """Return what the core finds."""
    found = DistanceToRank(rank)
    found.add(blocks)
    return found.figure()


def stacks() -> dict[str, np.ndarray]:
    """Return stacks of blocks: without and with a gap, exact and nearly exact, real and complex."""
    rng = np.random.default_rng(0)
    result = {}
    for shape in ((3, 4, 6), (4, 6, 3), (2, 2, 9), (2, 3, 3)):
        plain = rng.standard_normal(shape)
        thin = rng.standard_normal((*shape[:2], 1)) @ rng.standard_normal((shape[0], 1, shape[2]))
        name = "x".join(map(str, shape))
        result[f"{name} Gaussian"] = plain
        result[f"{name} complex"] = plain + 1j * rng.standard_normal(shape)
        result[f"{name} rank one"] = thin
        result[f"{name} nearly rank one"] = thin + 1e-9 * plain
        result[f"{name} one per cent"] = thin + 1e-2 * plain
        result[f"{name} with zeros"] = (
            plain * np.array([1.0, *[0.0] * (shape[0] - 1)])[:, None, None]
        )
        result[f"{name} of far scales"] = plain * np.logspace(0, -12, shape[0])[:, None, None]
    result["equal singular values"] = np.stack([np.eye(4), np.roll(np.eye(4), 1, axis=0)])
    return result


STACKS = stacks()
TRUTHS = {name: [None, truth(blocks, 1), truth(blocks, 2)] for name, blocks in STACKS.items()}


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("rank", [1, 2])
def test_bounds_enclose_the_distance_closely(name: str, rank: int) -> None:
    blocks = STACKS[name]
    found, exact = distance(blocks, rank), TRUTHS[name][rank]
    assert found.low() <= exact <= found.high()
    assert found.high() - found.low() <= 1e-12 * np.linalg.norm(blocks)


def test_blocks_of_full_rank_add_nothing_and_zeros_are_exact() -> None:
    assert DistanceToRank(2).is_full(2, 5)
    assert distance(np.ones((3, 2, 5)), 2) == Figure(0.0, 0.0)
    assert distance(np.zeros((3, 2, 5)), 1) == Figure(0.0, 0.0)


def test_zeros_beside_others_do_not_hide_them() -> None:
    found, plain = DistanceToRank(1), np.eye(3)[None]
    for blocks in (np.zeros((2, 3, 3)), plain, np.zeros((1, 3, 3))):
        found.add(blocks)
    assert found.figure().low() <= np.sqrt(2.0) <= found.figure().high()
    assert found.figure().high() < 1.5


def spoilt(kind: str, rng: np.random.Generator) -> Any:
    """Return a function in place of the eigenvectors of LAPACK: inaccurate in some way."""

    def eigh(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, vectors = np.linalg.eigh(gram)
        size = vectors.shape[-1]
        if kind == "perturbed":
            vectors = vectors + 10.0 ** rng.uniform(-9, -1) * rng.standard_normal(vectors.shape)
        elif kind == "scaled":
            vectors = vectors * (1.0 + 0.4 * rng.uniform(-1, 1, size))
        elif kind == "turned":
            vectors = vectors @ np.linalg.qr(rng.standard_normal((size, size)))[0]
        elif kind == "order":
            vectors = vectors[..., ::-1]
        elif kind == "identity":
            vectors = np.broadcast_to(np.eye(size), vectors.shape)
        elif kind == "singular":
            vectors = vectors * 0.0
        return values, vectors

    return eigh


@pytest.mark.parametrize("kind", ["perturbed", "scaled", "turned", "order", "identity", "singular"])
@pytest.mark.parametrize("rank", [1, 2])
def test_bad_decompositions_give_wide_bounds_but_true_ones(
    kind: str, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)

    class Linalg:
        eigh = staticmethod(spoilt(kind, rng))

        @staticmethod
        def svd(blocks: np.ndarray, full_matrices: bool) -> Any:
            vectors = Linalg.eigh(blocks @ blocks.conj().swapaxes(1, 2))[1]
            made = vectors.conj().swapaxes(1, 2) @ blocks
            return vectors, np.ones(vectors.shape[:2]), made

    class Numpy:
        linalg = Linalg

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

    monkeypatch.setattr(low_rank, "np", Numpy())
    for name in [name for name in STACKS if name.startswith(("3x4x6", "equal"))]:
        for _ in range(3):
            found = distance(STACKS[name], rank)
            assert found.low() <= TRUTHS[name][rank] <= found.high()


@pytest.mark.parametrize(
    ("values", "rank", "mixed"), [((5.0, 1.0, 3.0), 2, (0, 1)), ((4.0, 5.0, 1.0), 1, (1, 2))]
)
def test_directions_mixed_within_their_group_hide_nothing(
    values: tuple[float, ...], rank: int, mixed: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orthonormal vectors in the wrong order, two of them turned by 45 degrees: H is zero, and only
    the eigenvalues within the groups tell that the rest is not the smallest part."""
    q = np.eye(3)
    i, j = mixed
    q[[i, j], [i, j]] = q[i, j] = np.sqrt(0.5)
    q[j, i] = -np.sqrt(0.5)
    blocks = np.diag(values)[None]
    found = DistanceToRank(rank)
    monkeypatch.setattr(low_rank.np.linalg, "eigh", lambda gram: (None, q[None, :, ::-1]))
    monkeypatch.setattr(
        low_rank.np.linalg, "svd", lambda b, full_matrices: (q[None], np.ones((1, 3)), q.T @ b)
    )
    found.add(blocks)
    exact = np.sqrt(np.sum(np.sort(np.square(values))[: 3 - rank]))
    assert found.figure().low() <= exact <= found.figure().high()


def test_what_the_last_bits_hide() -> None:
    """Pairs of nearly parallel rows: what is left is of the size of the rounding."""
    rng = np.random.default_rng(2)
    for _ in range(400):
        row = rng.integers(1, 4, 2) / rng.integers(1, 4)
        block = np.stack([row, row * rng.integers(1, 4)]) * (
            1 + 2.0**-52 * rng.integers(-1, 2, (2, 2))
        )
        found = distance(block[None], 1)
        with mpmath.workdps(80):
            a, b, c, d = (mpmath.mpf(x) for x in block.ravel().tolist())
            trace = a * a + b * b + c * c + d * d
            root = mpmath.sqrt(trace**2 - 4 * (a * d - b * c) ** 2)
            exact = mpmath.sqrt(abs(trace - root) / 2)
            assert found.low() <= exact <= found.high()
