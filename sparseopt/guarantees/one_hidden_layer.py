"""A proof that a network of one hidden layer is determined by its function, everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sparseopt.guarantees.identifiability import Identifiability, IdentifiabilityVerdict
from sparseopt.guarantees.modular import is_invertible, of_entries, product
from sparseopt.guarantees.rank import require_identifiable, require_prime
from sparseopt.guarantees.wires import Layer, Wires
from sparseopt.interface.arrays import read_only
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type

MOST_UNITS, MOST_WEIGHTS = 1 << 12, 1 << 26
"""Units, and weights into them, that are judged: half a gigabyte, and a minute."""
MOST_DEPENDENT = 16
"""Units whose products may depend on those of the others: all their subsets are gone through."""


def hidden_layer(wires: Wires) -> tuple[Layer, Layer, Layer] | None:
    """Return the three layers of ``U relu(W x + b) + c``; None for networks of another form."""
    if [layer.kind for layer in wires.layers] != ["linear", "relu", "linear"]:
        return None
    first, relu, last = wires.layers
    fits = (
        np.array_equal(relu.reads[:, 0], np.arange(first.size) + first.start)
        and relu.start <= last.window.start
        and np.array_equal(wires.outputs, np.arange(last.size) + last.start)
    )
    return (first, relu, last) if fits else None


def matrices(wires: Wires, prime: int) -> tuple[np.ndarray, np.ndarray]:
    """Return W with b as its last column, and the transpose of U, by units, modulo a prime."""
    first, relu, last = wires.layers
    entries = of_entries(wires, prime)
    inner = np.zeros((relu.size, wires.inputs + 1), dtype=np.int64)
    inner[first.heads - first.start, first.tails] = entries[first.entries]
    inner[first.biased, -1] = entries[first.bias[first.biased]]
    outer = np.zeros((relu.size, last.size), dtype=np.int64)
    outer[last.tails - relu.start, last.heads - last.start] = entries[last.entries]
    return inner, outer


def tested(inner: np.ndarray, outer: np.ndarray, columns: int, prime: int) -> np.ndarray:
    """Return ``a^T (u_v w_v^T) b`` of the units v, for some random a and b, a column each."""
    rng = np.random.default_rng(prime)
    a = rng.integers(prime, size=(outer.shape[1], columns)).astype(np.float64)
    b = rng.integers(prime, size=(inner.shape[1] - 1, columns)).astype(np.float64)
    left = product(outer.astype(np.float64), a, prime).astype(np.int64)
    right = product(inner[:, :-1].astype(np.float64), b, prime).astype(np.int64)
    return left * right % prime


def subsets(count: int) -> np.ndarray:
    """Return the nonempty subsets of so many things, a row of 0 and 1 each."""
    return np.arange(1, 1 << count)[:, None] >> np.arange(count) & 1


@proves(Identifiability)
@json_type
@dataclass(frozen=True, eq=False)
class OneHiddenLayerCertificate(Certificate):
    """The function of ``U relu(W x + b) + c`` determines its parameters, near and far.

    Theorem. Let each parameter be one entry of W, U, b or c. Let no unit have a row w_v of W or a
    column u_v of U that is 0, and no two units the same hyperplane ``z_v = w_v.x + b_v = 0``. Then
    the parameters are locally identifiable up to rescaling from the function on an open set that
    meets every hyperplane. Other parameters with as many units have the same function if and only
    if they are these, up to permutation and positive rescaling of the units, with ``(w_v, b_v)``
    replaced by ``-(w_v, b_v)`` for the units of a set S with ``sum_S u_v w_v^T = 0``, and ``sum_S
    u_v b_v`` added to c.

    Proof. ``relu(z) = (z + |z|) / 2``, so the function is affine but for kinks at the hyperplanes,
    where its slope jumps by ``u_v w_v^T``, none of them 0. Other parameters with this function have
    the same kinks, hence one unit for each, with the same jump: up to rescaling it is v or v
    turned. Turning S adds the affine function ``sum_S u_v z_v`` to what is left, which must be
    constant. Nearby no unit is turned. For the derivative: a kernel vector keeps the kinks in
    place, so it changes ``(w_v, b_v)`` by a multiple of itself, u_v by the opposite one, and c by
    nothing.

    That no S exists is seen modulo a prime: for numbers a and b the sum of ``(a.u_v) (b.w_v)``
    over S is 0. The square matrix of these for all units but some, the rest, has an inverse.
    So those of S outside the rest are determined by those in it, and each nonempty part of the rest
    demands other factors than 0 and 1.

    Parameters
    ----------
    prime : int
    turned : tuple of int
        The units of a set S; empty unless the answer says that there is one.
    rest : int array, shape (k,)
        Units, at most `MOST_DEPENDENT`.
    factors : int array, shape (k, n - k)
        The matrix for the rest, times the inverse of that for the others.
    """

    problem: Identifiability
    answer: IdentifiabilityVerdict
    prime: int
    turned: tuple[int, ...]
    rest: np.ndarray
    factors: np.ndarray

    def __post_init__(self) -> None:
        for name in ("rest", "factors"):
            array = np.asarray(getattr(self, name))
            if array.size and array.dtype.kind not in "iu":
                raise ProblemError(f"{name} must hold integers, not {array.dtype}")
            object.__setattr__(self, name, read_only(array.astype(np.int64)))
        object.__setattr__(self, "turned", tuple(self.turned))
        if any(type(number) is not int for number in (self.prime, *self.turned)):
            raise ProblemError("the prime and the units turned must be integers")

    @property
    def accuracy(self) -> float:
        """0: the proof is exact."""
        return 0.0

    @property
    def claim(self) -> str:
        """The verdict, near and far."""
        answer = self.answer
        words = (
            f"the {answer.parameters} free parameters are locally identifiable up to rescaling, of "
            f"dimension {answer.orbit}, from the function on any open set in which every unit "
            "switches"
        )
        if answer.everywhere is None:
            return words
        if answer.everywhere:
            return (
                f"{words}; and no other parameters with as many hidden units have this function, "
                "up to the order and rescalings of the units"
            )
        return (
            f"{words}; but with the weights and biases into units "
            f"{', '.join(map(str, self.turned))} multiplied by -1, and other biases of the "
            "outputs, the function is the same"
        )

    def check(self, steps: Steps) -> None:
        """Check the form and the kinks, and the sets of units that may be turned."""
        problem, answer = self.problem, self.answer
        require_identifiable(steps, problem, answer)
        require_prime(steps, self.prime)
        layers = hidden_layer(problem.wires)
        steps.require(layers is not None, "the network has one hidden layer of ReLUs")
        size, read = problem.wires.layers[1].size, problem.wires.inputs
        few = size <= MOST_UNITS and size * read <= MOST_WEIGHTS
        steps.require(few, f"at most {MOST_UNITS} units with {MOST_WEIGHTS} weights are judged")
        heads, tails, entries = (
            np.concatenate(parts)
            for parts in zip(*(layer.edges for layer in problem.wires.layers[::2]), strict=True)
        )
        ends = np.unique(np.stack([heads, tails]), axis=1)
        steps.require(ends.shape[1] == len(heads), "no two edges join the same neurons")
        own = np.sort(problem.wires.column[entries])
        alone = np.array_equal(own[own >= 0], np.arange(problem.parameters.count))
        steps.require(alone, "each parameter is that of one edge")
        inner, outer = matrices(problem.wires, self.prime)
        steps.require(bool(outer.any(axis=1).all()), "every unit is read")
        steps.require(bool(inner[:, :-1].any(axis=1).all()), "every unit reads an input")
        lines = _scaled_rows(inner, self.prime)
        distinct = len(np.unique(lines, axis=0)) == len(lines)
        steps.require(distinct, "no two units switch at the same inputs")
        if answer.everywhere:
            self._check_none_turned(steps, inner, outer)
        elif answer.everywhere is not None:
            self._check_turned(steps)

    def _check_none_turned(self, steps: Steps, inner: np.ndarray, outer: np.ndarray) -> None:
        size, few = len(inner), len(self.rest)
        others = np.setdiff1d(np.arange(size), self.rest)
        listed = self.rest.ndim == 1 and few <= MOST_DEPENDENT and len(others) == size - few
        steps.require(listed, f"the rest are at most {MOST_DEPENDENT} units")
        shape = (few, size - few)
        inside = self.factors.shape == shape and ((self.factors >= 0) & (self.factors < self.prime))
        steps.require(bool(np.all(inside)), "a residue is there for each of the rest and others")
        table = tested(inner, outer, len(others), self.prime).astype(np.float64)
        steps.require(is_invertible(table[others], self.prime), "the others are independent")
        combined = product(self.factors.astype(np.float64), table[others], self.prime)
        steps.require(np.array_equal(combined, table[self.rest]), "the rest are combined so")
        left = subsets(few)
        for column in self.factors.T:  # what a set demands of one of the others: 0 or 1
            demanded = -(left @ column) % self.prime
            left = left[demanded <= 1]
        steps.require(not len(left), "no set of units can be turned")

    def _check_turned(self, steps: Steps) -> None:
        """Check in exact arithmetic that a set of units can be turned."""
        wires = self.problem.wires
        first, relu, last = wires.layers
        units = sorted(set(self.turned))
        listed = len(units) == len(self.turned) > 0 and units[0] >= 0 and units[-1] < relu.size
        steps.require(listed, "the units turned are some of the hidden layer, each once")
        heads, tails, entries = first.edges
        inner = _by_unit(units, heads - first.start, tails, wires.exact[entries])
        free = (wires.column[entries] >= 0) | wires.is_zero[entries]
        turned = np.isin(heads - first.start, units)
        steps.require(bool(free[turned].all()), "what is turned is free")
        heads, tails, entries = last.edges
        outer = _by_unit(units, tails - relu.start, heads, wires.exact[entries])
        sums: dict[tuple[int, int], Fraction] = {}
        for unit in units:
            for output, u in outer[unit]:
                for tail, w in inner[unit]:
                    sums[output, tail] = sums.get((output, tail), Fraction(0)) + u * w
        left = [place for place, total in sums.items() if total]
        biases = [int(last.bias[output - last.start]) for output, _ in left]
        constant = all(tail < 0 for _, tail in left)
        steps.require(constant, "what turning adds does not depend on the input")
        fits = all(bias >= 0 and wires.column[bias] >= 0 for bias in biases)
        steps.require(fits, "biases of the outputs that change are free")


def _by_unit(
    units: list[int], owners: np.ndarray, others: np.ndarray, values: np.ndarray
) -> dict[int, list[tuple[int, Fraction]]]:
    """Return, for some units, the edges that are theirs: the other end, and the weight."""
    found: dict[int, list[tuple[int, Fraction]]] = {unit: [] for unit in units}
    for place in np.flatnonzero(np.isin(owners, units)).tolist():
        found[int(owners[place])].append((int(others[place]), Fraction(values[place])))
    return found


def _scaled_rows(rows: np.ndarray, prime: int) -> np.ndarray:
    """Return rows that are not 0, scaled so that the first entry that is not 0 is 1."""
    heads = np.take_along_axis(rows, (rows != 0).argmax(axis=1)[:, None], axis=1)
    inverses = np.array([[pow(head, -1, prime)] for head in heads.ravel().tolist()])
    return np.asarray(rows * inverses % prime)
