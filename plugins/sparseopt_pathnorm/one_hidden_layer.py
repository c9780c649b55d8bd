"""Identifiability of networks with one hidden layer, from their function, near and far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np

import sparseopt as so
from sparseopt.guarantees.modular import PRIME, is_prime
from sparseopt.guarantees.one_hidden_layer import (
    MOST_DEPENDENT,
    MOST_UNITS,
    MOST_WEIGHTS,
    OneHiddenLayerCertificate,
    hidden_layer,
    matrices,
    tested,
)
from sparseopt.guarantees.wires import Wires
from sparseopt.interface.certificate import CheckFailed, Steps
from sparseopt_pathnorm.residue_elimination import Echelon

_PRIMES = 3
_NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class OneHiddenLayer(so.Solver[so.Identifiability]):
    """The kinks of the function give the units; what may be turned is seen modulo a prime.

    It says "identifiable" or gives up: units that are not read, read nothing, or switch at the same
    inputs are for the other engines. Whether units can be turned far away is decided where all but
    sixteen units have independent products ``u_v w_v^T``. Source: the theorem of
    `sparseopt.OneHiddenLayerCertificate`.

    Time O(n^3 + n P), memory O(n^2 + P), for n units and P parameters.
    """

    def accepts(self, problem: so.Identifiability) -> so.Accepted | so.Refused:
        """Accept problems without inputs, of networks with one hidden layer."""
        if problem.inputs is not None:
            return so.Refused("inputs are given, and the whole function is asked for")
        layers = hidden_layer(problem.wires)
        if layers is None:
            return so.Refused("the network is not of the form linear, ReLU, linear")
        size = layers[1].size
        if size > MOST_UNITS or size * problem.wires.inputs > MOST_WEIGHTS:
            return so.Refused(
                f"{size} hidden units of {problem.wires.inputs} inputs; at most {MOST_UNITS} with "
                f"{MOST_WEIGHTS} weights are taken"
            )
        return so.Accepted()

    def cost(self, problem: so.Identifiability) -> float:
        """Return the cube of the units, at a billion a second, and the reading of the weights."""
        units = problem.wires.layers[1].size
        return 0.02 + 1e-9 * units**3 + 2e-6 * len(problem.wires.exact)

    def bytes_needed(self, problem: so.Identifiability) -> float:
        """Predict tables of units modulo a prime, and exact weights."""
        units = problem.wires.layers[1].size
        return 2.0**21 + 64.0 * units**2 + 100.0 * problem.parameters.count

    def solve(
        self, problem: so.Identifiability, context: so.Context
    ) -> tuple[so.IdentifiabilityVerdict, so.Certificate]:
        """Return "identifiable", with what is known far away."""
        nearby, reason = None, ""
        for prime in islice(_primes(), _PRIMES):
            context.check_time("looking for units that can be turned")
            made = _certificate(problem, prime, None)
            steps = Steps()
            try:
                made.check(steps)
            except CheckFailed:  # it may hold modulo another prime
                reason = steps.lines[-1].removeprefix("FAILED: ")
                continue
            nearby, found = made, _far(problem, prime)
            if found is not None:
                return found.answer, found
        if nearby is None:
            raise so.Inconclusive(f"the theorem asks for more: {reason}")
        return nearby.answer, nearby


def _primes() -> Iterator[int]:
    return (n for n in range(PRIME, 2, -2) if is_prime(n))


def _certificate(
    problem: so.Identifiability,
    prime: int,
    everywhere: bool | None,
    turned: tuple[int, ...] = (),
    rest: np.ndarray = _NONE,
    factors: np.ndarray = _NONE,
) -> OneHiddenLayerCertificate:
    answer = problem.verdict("identifiable", problem.bound, everywhere=everywhere)
    return OneHiddenLayerCertificate(problem, answer, prime, turned, rest, factors)


def _far(problem: so.Identifiability, prime: int) -> OneHiddenLayerCertificate | None:
    """Return a proof that units can, or that none can, be turned; None where neither is seen."""
    inner, outer = matrices(problem.wires, prime)
    size = len(inner)
    echelon = Echelon(prime, size)
    echelon.add(tested(inner, outer, size, prime))
    others = np.array(echelon.rows)
    rest = np.setdiff1d(np.arange(size), others)
    if len(rest) > MOST_DEPENDENT:
        return None
    table = tested(inner, outer, len(others), prime)
    solved = Echelon(prime, size)
    solved.add(np.concatenate([table[others].T, table[rest].T], axis=1))
    factors = np.empty((len(others), len(rest)), dtype=np.int64)
    factors[solved.columns] = solved.reduced[:, len(others) :]
    undecided = False
    for units in _candidates(others, rest, factors, prime):
        if _is_constant(problem.wires, units):
            proof = _certificate(problem, prime, False, tuple(units.tolist()))
            return proof if _holds(proof) else None
        undecided = True
    return None if undecided else _certificate(problem, prime, True, (), rest, factors.T)


def _candidates(
    others: np.ndarray, rest: np.ndarray, factors: np.ndarray, prime: int
) -> Iterator[np.ndarray]:
    """Yield the sets of units whose products add up to 0 modulo the prime."""
    codes = np.arange(1, 1 << len(rest))
    bits = np.arange(len(rest))
    for row in factors:
        wanted = (codes[:, None] >> bits & 1) @ row % prime
        codes = codes[(wanted == 0) | (wanted == prime - 1)]
    for code in codes.tolist():
        chosen = np.array([code >> bit & 1 for bit in bits], dtype=np.int64)
        yield np.sort(np.concatenate([rest[chosen == 1], others[factors @ chosen % prime > 0]]))


def _is_constant(wires: Wires, units: np.ndarray) -> bool:
    """Whether what turning units adds to the function does not depend on the input."""
    first, relu, last = wires.layers
    shape = (relu.size, wires.inputs), (last.size, relu.size)
    inner, outer = (np.zeros(each, dtype=object) for each in shape)
    exact = wires.exact
    np.add.at(inner, (first.heads - first.start, first.tails), exact[first.entries])
    np.add.at(outer, (last.heads - last.start, last.tails - relu.start), exact[last.entries])
    return not (_rational(outer[:, units]) @ _rational(inner[units])).any()


def _rational(array: np.ndarray) -> np.ndarray:
    return np.array([Fraction(v) for v in array.ravel()], dtype=object).reshape(array.shape)


def _holds(proof: OneHiddenLayerCertificate) -> bool:
    try:
        proof.check(Steps())
    except CheckFailed:
        return False
    return True
