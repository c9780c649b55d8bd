"""Second networks with exactly equal outputs, from kernels of the derivative on cuts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.guarantees.modular import PRIME, is_prime
from sparseopt.guarantees.patterns import Pattern
from sparseopt.guarantees.rank import RankEvidence
from sparseopt.guarantees.second_network import SecondNetworkCertificate, moved_words
from sparseopt.interface.certificate import CheckFailed, Steps
from sparseopt_pathnorm.independence import independent
from sparseopt_pathnorm.residue_elimination import Echelon
from sparseopt_pathnorm.residue_slopes import OperatorSlopes

MOST = 400
"""Parameters up to which kernels are made exact."""
_PRIMES = 48
_HALVINGS = 80


def second_network(
    problem: so.Identifiability, evidence: RankEvidence, rank: int, context: so.Context
) -> tuple[so.IdentifiabilityVerdict, so.Certificate] | None:
    """Return a verdict by a second network, or None if none was found."""
    if problem.inputs is None or problem.parameters.count > MOST:
        return None
    slopes = _Derivatives(problem, context)
    for columns in _cuts(problem):
        for vector in slopes.kernel(columns):
            direction = {int(c): v for c, v in zip(columns, vector, strict=True) if v}
            if not independent(problem.wires, problem.scales, [direction]):
                continue
            found = _moved(problem, evidence, rank, direction, context)
            if found is not None:
                return found.answer, found
    return None


class _Derivatives:
    """The derivative at the regular inputs modulo several primes."""

    def __init__(self, problem: so.Identifiability, context: so.Context) -> None:
        self.problem, self.context = problem, context
        self._held: dict[int, np.ndarray] = {}
        assert problem.inputs is not None
        known = problem.pattern
        regular = np.setdiff1d(np.arange(len(problem.inputs)), list(known.irregular))
        self._inputs = problem.inputs[regular]
        self._pattern = Pattern([t[..., regular] if t.size else t for t in known.takes], {})
        self._primes = [p for p in range(PRIME, PRIME - 3000, -2) if is_prime(p)][:_PRIMES]

    def modulo(self, prime: int) -> np.ndarray:
        """Return the derivative modulo a prime, one row for each input and output."""
        if prime not in self._held:
            self.context.check_time("making a kernel exact")
            slopes = OperatorSlopes(self.problem, self._inputs, self._pattern, prime)
            outputs = math.prod(self.problem.network.output_shape)
            rows = np.concatenate([slopes.rows(j) for j in range(outputs)])
            self._held[prime] = rows
        return self._held[prime]

    def kernel(self, columns: np.ndarray) -> Iterator[list[Fraction]]:
        """Yield vectors over the rationals, on some columns, that the derivative annihilates."""
        whole: np.ndarray | None = None
        modulus, pivots = 1, None
        for count, prime in enumerate(self._primes, 1):
            echelon = Echelon(prime, len(columns))
            echelon.add(self.modulo(prime)[:, columns])
            basis = echelon.kernel()
            if not len(basis):
                return
            if pivots is None:
                pivots = sorted(echelon.columns)
            elif pivots != sorted(echelon.columns):
                continue
            new = basis.astype(np.int64).astype(object)
            if whole is None:
                whole = new
            else:
                step = (new - whole) * pow(modulus, -1, prime) % prime
                whole = whole + modulus * step
            modulus *= prime
            if count in (2, 4, 8, 16, 32, _PRIMES):
                vectors = [_rational_row(row, modulus) for row in whole.tolist()]
                if all(vector is not None for vector in vectors):
                    yield from (vector for vector in vectors if vector is not None)
                    return


def _rational_row(row: list[int], modulus: int) -> list[Fraction] | None:
    values = []
    for residue in row:
        value = _rational(residue, modulus)
        if value is None:
            return None
        values.append(value)
    return values


def _rational(residue: int, modulus: int) -> Fraction | None:
    """Return the fraction of small terms with a residue, with bits to spare, or None."""
    limit = math.isqrt(modulus >> 24)
    a, b, c, d = modulus, residue % modulus, 0, 1
    while b > limit:
        q = a // b
        a, b, c, d = b, a - q * b, d, c - q * d
    if not d or abs(d) > limit or math.gcd(b, d) > 1:
        return None
    return Fraction(b, d)


def _cuts(problem: so.Identifiability) -> Iterator[np.ndarray]:
    """Yield for each layer its weights, its biases, and all later biases."""
    wires = problem.wires
    linear = [layer for layer in wires.layers if layer.kind == "linear"]
    for i, layer in enumerate(linear):
        entries = [layer.entries, *(x.bias[x.biased] for x in linear[i:])]
        columns = np.unique(wires.column[np.concatenate(entries)])
        columns = columns[columns >= 0]
        if len(columns):
            yield columns


def _moved(
    problem: so.Identifiability,
    evidence: RankEvidence,
    rank: int,
    direction: dict[int, Fraction],
    context: so.Context,
) -> SecondNetworkCertificate | None:
    """Go along a direction, back and forth, ever less, until nothing switches on the way."""
    columns = np.array(sorted(direction), dtype=np.int64)
    first = problem.parameters.first
    answer = problem.verdict("not_identifiable", rank, [moved_words(problem, columns)])
    size = max(abs(value) for value in direction.values())
    step = Fraction(1, 2 ** max(0, math.frexp(float(size))[1])) if size < 10**300 else None
    if step is None:
        return None
    for _ in range(_HALVINGS // 4):
        context.check_time("moving parameters")
        for sign in (1, -1):
            values = tuple(
                Fraction(problem.wires.exact[first[c]]) + sign * step * direction[c]
                for c in columns.tolist()
            )
            found = SecondNetworkCertificate(problem, answer, evidence, columns, values)
            try:
                found.check(Steps())
            except CheckFailed as error:
                if "switches" not in str(error) and "sign" not in str(error):
                    return None
                continue
            return found
        step /= 16
    return None
