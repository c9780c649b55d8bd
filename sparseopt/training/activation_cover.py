"""A proof that some cones cover all weights of a ReLU neuron, and what each of them bounds.

The cones come from a tree. The inputs x_1, ..., x_n are gone through in order; each node is a cone
K of weights w, cut out by conditions s_i x_i . w >= 0 with signs s_i. At input x_i a node either

- splits into the parts x_i . w >= 0 and x_i . w <= 0, whose union it is; or
- keeps a sign s without a condition of its own, by multipliers m_j >= 0 of conditions of K with
  ``v = sum_j m_j s_j x_j - s x_i`` of norm rho: then s x_i . w >= -rho |w| on K.

So every w lies in a cone of the last level, whatever the tree is, or its negative does where only
the half x_1 . w >= 0 is gone through: a cell cannot be missing, and no sign needs exact arithmetic.
Parallel, zero and dependent inputs are not special cases: their signs follow from others.

On a cone K, let D be the diagonal matrix of the inputs with positive sign and t a dual point. Then
``t . relu(X w)`` differs from ``q . w``, q = X^T D t, by at most sum |t_i| rho_i |w| over the kept
signs, and for multipliers l_j >= 0 of conditions of K

    q . w  <=  (q + sum_j l_j s_j x_j) . w  <=  |q + sum_j l_j s_j x_j| |w|,

which with the best multipliers is no loss: the right-hand side is then the norm of the projection
of q onto K. The same holds for -q; and for w in -K with the other inputs, q = X^T (I - D) t.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparseopt.interface.arrays import read_only, require_finite
from sparseopt.interface.certificate import Steps
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.judging.rounding import TINY, gamma

MOST_SIGNS = 1 << 24
"""Signs of all cones that a judge holds in memory."""
_CHUNK = 1 << 21
CASES = 4
"""Bounds of each cone: q and -q on K, then on -K."""
_WILD = np.errstate(over="ignore", invalid="ignore")


@json_type
@dataclass(frozen=True, eq=False)
class CoverMultipliers:
    """Sparse rows of positive multipliers.

    Attributes
    ----------
    members : ndarray of int64, shape (rows, width)
        Inputs, -1 where a row has fewer.
    values : ndarray of float64, shape (rows, width)
        Positive, 0 where there is no member.
    """

    members: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        members, values = np.asarray(self.members), np.asarray(self.values)
        if members.ndim != 2 or members.dtype.kind != "i" or values.shape != members.shape:
            raise ProblemError("multipliers need a matrix of integers and values of its shape")
        values = values.astype(np.float64, casting="same_kind", copy=False)
        require_finite(values, "the multipliers")
        object.__setattr__(self, "members", read_only(members.astype(np.int64, copy=False)))
        object.__setattr__(self, "values", read_only(values))

    @classmethod
    def from_rows(cls, rows: list[tuple[Any, Any]]) -> CoverMultipliers:
        """Return rows of (members, values), padded."""
        width = max((len(members) for members, _ in rows), default=0)
        members = np.full((len(rows), width), -1, dtype=np.int64)
        values = np.zeros((len(rows), width))
        for k, (each, found) in enumerate(rows):
            members[k, : len(each)], values[k, : len(each)] = each, found
        return cls(members, values)


@json_type
@dataclass(frozen=True, eq=False)
class ActivationCover:
    """The tree of cones, and the multipliers that bound a dual point on each.

    Attributes
    ----------
    kinds : ndarray of int8, shape (nodes,)
        For the inputs 2, ..., n and each node of that level: 0 splits it, 1 and -1 keep a sign.
        The first input has sign 1. Children are listed in the order of the nodes, with sign 1 for
        those that split; then those with sign -1.
    kept : CoverMultipliers
        For each kept sign, in order, the conditions that it follows from.
    bounded : ndarray of int64, shape (count,)
        Increasing: 4 times the number of a cone plus the number of a case (q, -q on K; q, -q on
        -K) that multipliers are for; all others have none.
    multipliers : CoverMultipliers
        In units of the dual point.
    """

    kinds: np.ndarray
    kept: CoverMultipliers
    bounded: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    multipliers: CoverMultipliers = field(default_factory=lambda: CoverMultipliers.from_rows([]))

    def __post_init__(self) -> None:
        for name, dtype in (("kinds", np.int8), ("bounded", np.int64)):
            array = np.asarray(getattr(self, name))
            if array.ndim != 1 or array.dtype.kind != "i":
                raise ProblemError(f"{name} must be a vector of integers")
            if name == "kinds" and ((array < -1) | (array > 1)).any():
                raise ProblemError("kinds must be 0, 1 or -1")
            object.__setattr__(self, name, read_only(array.astype(dtype, copy=False)))
        for name in ("kept", "multipliers"):
            if type(getattr(self, name)) is not CoverMultipliers:
                raise ProblemError(f"{name} must be CoverMultipliers")


class Cones:
    """The cones at the leaves of a tree, and bounds on them, in the units of the judge.

    Parameters
    ----------
    inputs : ndarray of float64, shape (n, d)
        With entries of at most 2.
    cover : ActivationCover
    steps : Steps
        Takes the conditions on the tree.
    room : float
        Every bound of rounding is taken that many times.

    Attributes
    ----------
    signs : ndarray of int8, shape (cones, n)
        1 and -1 are conditions, 2 and -2 follow from them.
    """

    def __init__(
        self, inputs: np.ndarray, cover: ActivationCover, steps: Steps, room: float = 1.0
    ) -> None:
        self._inputs, self._cover, self._steps, self._room = inputs, cover, steps, room
        self._said: set[str] = set()
        self._sizes = np.sqrt(np.vecdot(inputs, inputs)) * (1.0 + gamma(inputs.shape[1] + 8)) + TINY
        self._off = np.zeros(len(inputs))  # the largest rho of each input
        signs = np.ones((1, 1), dtype=np.int8)
        at = rows = 0
        for i in range(1, len(inputs)):
            kinds = cover.kinds[at : at + len(signs)]
            at += len(signs)
            self._must(len(kinds) == len(signs), "each node of the tree splits or keeps a sign")
            follows, splits = np.flatnonzero(kinds), np.flatnonzero(kinds == 0)
            self._must(
                (len(signs) + len(splits)) * len(inputs) <= MOST_SIGNS, "the tree fits in memory"
            )
            part = slice(rows, rows + len(follows))
            rows = part.stop
            self._off[i] = self._distance(i, kinds[follows], signs[follows], part)
            new = np.where(kinds == 0, 1, 2 * kinds).astype(np.int8)
            negative = np.full(len(splits), -1, dtype=np.int8)
            signs = np.vstack([np.c_[signs, new], np.c_[signs[splits], negative]])
        self._must(
            at == len(cover.kinds) and rows == len(cover.kept.members),
            "the tree ends with the last input",
        )
        self.signs = signs

    def _must(self, ok: bool, step: str) -> None:
        """Require a condition that is met at every input; record it once."""
        if not ok or step not in self._said:
            self._said.add(step)
            self._steps.require(ok, step)

    def _sums(
        self, signs: np.ndarray, multipliers: CoverMultipliers, rows: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``sum_j m_j s_j x_j`` for rows of multipliers, and the sums of the norms."""
        members, values = multipliers.members[rows], multipliers.values[rows]
        there = members >= 0
        self._must(
            len(members) == len(signs) and bool((members < signs.shape[1]).all()),
            "multipliers belong to inputs of the cone",
        )
        self._must(
            bool(np.where(there, values > 0, (members == -1) & (values == 0)).all()),
            "multipliers are positive, and nothing is said where there are none",
        )
        chosen = np.take_along_axis(signs, np.where(there, members, 0), axis=1)
        self._must(
            bool((np.abs(chosen[there]) == 1).all()), "multipliers belong to conditions of the cone"
        )
        found = np.einsum("kj,kjd->kd", values * chosen, self._inputs[members])
        return found, np.vecdot(values, self._sizes[members])

    @_WILD
    def _distance(self, i: int, kinds: np.ndarray, signs: np.ndarray, part: slice) -> float:
        """Return a bound of all rho at input i, for the nodes that keep its sign."""
        if not len(kinds):
            return 0.0
        width = self._cover.kept.members.shape[1]
        most = 0.0
        for some in _chunks(len(kinds), (width + 1) * self._inputs.shape[1]):
            rows = slice(part.start + some.start, min(part.start + some.stop, part.stop))
            found, sizes = self._sums(signs[some], self._cover.kept, rows)
            found = found - kinds[some, None] * self._inputs[i]
            off = self._norms(found) + self._rounding(width + 3) * (sizes + self._sizes[i])
            most = float(np.maximum(most, off.max()))  # a NaN stays one
        return most + TINY

    @_WILD
    def reach(self, point: np.ndarray) -> np.ndarray:
        """Bound ``|t . relu(X w)| / |w|`` on each cone and its negative.

        Parameters
        ----------
        point : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (cones, 4)
            O(cones (n + d) d) for d features.
        """
        where, features = self._cover.bounded, self._inputs.shape[1]
        count = CASES * len(self.signs)
        self._must(
            not len(where)
            or (where[0] >= 0 and where[-1] < count and bool((np.diff(where) > 0).all())),
            "multipliers belong to distinct cases of cones",
        )
        self._must(
            len(where) == len(self._cover.multipliers.members), "each case has its multipliers"
        )
        width = CASES * (self._cover.multipliers.members.shape[1] + 1) * features + len(point)
        parts = [self._part(point, part) for part in _chunks(len(self.signs), width)]
        return np.concatenate(parts).reshape(-1, CASES)

    def _part(self, point: np.ndarray, part: slice) -> np.ndarray:
        """Return `reach` for some cones, all cases in a row."""
        weighted, cover = point[:, None] * self._inputs, self._cover
        positive = (self.signs[part] > 0).astype(np.float64)
        found = [positive @ weighted, (1.0 - positive) @ weighted]
        vectors = np.stack([found[0], -found[0], found[1], -found[1]], axis=1)
        vectors = vectors.reshape(-1, self._inputs.shape[1])
        sizes = np.full(len(vectors), float(np.abs(point) @ self._sizes))
        first = CASES * part.start
        rows = slice(*np.searchsorted(cover.bounded, [first, first + len(vectors)]))
        where = cover.bounded[rows]
        more, lengths = self._sums(self.signs[where // CASES], cover.multipliers, rows)
        vectors[where - first] += more
        sizes[where - first] += lengths
        terms = len(point) + cover.multipliers.members.shape[1] + 3
        kept = float(np.abs(point) @ self._off) * (1.0 + gamma(len(point) + 4))
        return np.asarray(self._norms(vectors) + self._rounding(terms) * sizes + kept + TINY)

    def _rounding(self, terms: int) -> float:
        # What the bound itself loses in its own sums is far below the rounding up here.
        return self._room * gamma(terms) * (1.0 + 1e-9)

    def _norms(self, vectors: np.ndarray) -> np.ndarray:
        growth = 1.0 + self._rounding(vectors.shape[1] + 8)
        return np.asarray(np.sqrt(np.vecdot(vectors, vectors)) * growth)


def _chunks(count: int, width: int) -> list[slice]:
    """Return slices of `count` rows of `width` numbers each that take little memory."""
    step = max(1, _CHUNK // width)
    return [slice(start, start + step) for start in range(0, count, step)]
