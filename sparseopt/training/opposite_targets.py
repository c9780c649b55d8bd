"""A data set without optimum: its targets need every hidden unit, and two are opposite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.evidence import INDEX, Record
from sparseopt.judging.exact import rank_modulo
from sparseopt.training.data_without_optimum import DataWithoutOptimumCertificate, Point
from sparseopt.training.sparse_training import SparseTraining

PAIR = Record((INDEX, INDEX))


@proves(SparseTraining)
@json_type
@dataclass(frozen=True, eq=False)
class OppositeTargetsCertificate(DataWithoutOptimumCertificate):
    """The targets have the rank of all units that may act, and two of them are opposite.

    Let M hold the targets of the samples in its columns, P the outputs and Q the inputs that are
    not 0 at all of them, and let T be the units of the last hidden layer that may act: those that
    feed an output of P and that an input of Q reaches (with hidden biases: that feed one of P).
    Required: rank M >= |T|, and M_p = -M_q for two samples p, q, not 0.

    Proof without output biases. If weights attain M, then on the rows P it is W H, where H >= 0
    holds the activations of T (other units that feed P are 0: nothing reaches them). As rank M >=
    |T|, the columns of W are linearly independent. So W (H_p + H_q) = M_p + M_q = 0 gives H_p +
    H_q = 0, with H >= 0 therefore H_p = 0, and M_p = W H_p = 0, which it is not.

    Output biases add a vector b to every column of W H; for the dense network with 2 outputs, 2
    hidden units and 3 inputs, M = [[0, 1, -1], [1, 0, 0]] is then attained at the inputs e_1, e_2,
    e_3, by the activations (1, 2, 0) and (1, 0, 0) and b = (-1, 0). So samples that make b = 0 are
    required. Without hidden biases x = 0 is one: its target is 0, as that of the weights W(t).
    With hidden biases, and then one hidden layer, samples with the target 0 are required whose
    inputs are affinely as independent as possible: |Q| + 1 of them. Proof that b = 0. Let z be one
    of them, so b = -W H_z and M = W (H - H_z 1^T). As rank M >= |T|, the columns of W are
    independent, and no row of H - H_z 1^T is 0: no unit of T is constant on the samples. At
    every sample with the target 0 the activations are H_z, as W takes both to -b. If a unit had
    H_z > 0 there, its affine function of the input would be constant on inputs that span all of
    R^Q, hence constant on all samples. So H_z = 0 and b = 0.

    With hidden biases a unit that no input of Q reaches is a constant and can do what b does,
    which is why T is larger then.

    Attributes
    ----------
    opposite : (int, int)
        The numbers of the samples p and q.
    """

    opposite: tuple[int, int]

    @property
    def why(self) -> str:
        """The rank and the pair."""
        p, q = PAIR.read(self.opposite, ("opposite",))
        return f"its targets need every hidden unit, and those of samples {p} and {q} are opposite"

    def exclude(self, steps: Steps) -> None:
        """Check the biases, the rank, and the pair."""
        problem, (_, inputs, targets) = self.problem, self.evidence
        if problem.output_biases:
            self._require_no_output_bias(steps)
        units = acting_units(problem, _indices(inputs), _indices(targets))
        whole = all(value.denominator == 1 for point in targets for value in point.values())
        steps.require(whole, "the targets are integers")
        matrix = np.zeros((problem.supports[0].shape[0], len(targets)), dtype=object)
        for number, point in enumerate(targets):
            for i, value in point.items():
                matrix[i, number] = value.numerator
        matrix = matrix[_indices(targets)]
        found, wanted = rank_modulo(matrix), f"{units}, the number of units that may act"
        steps.require(found >= units, f"the rank of the targets is {wanted}", f"{found}")
        p, q = PAIR.read(self.opposite, ("opposite",))
        steps.require(max(p, q) < len(targets), "the pair of samples exists")
        opposite = bool(np.all(matrix[:, p] == -matrix[:, q]))
        steps.require(opposite, f"the targets of samples {p} and {q} are opposite")
        steps.require(bool(np.any(matrix[:, p] != 0)), f"the targets of sample {p} are not 0")

    def _require_no_output_bias(self, steps: Steps) -> None:
        """Require samples at which output biases would show."""
        problem, (_, inputs, targets) = self.problem, self.evidence
        if not problem.hidden_biases:
            zero = any(not any(x.values()) for x in inputs)
            steps.require(zero, "there is a sample x = 0, at which output biases show")
            return
        one_layer = len(problem.supports) == 2
        steps.require(one_layer, "with hidden and output biases there is one hidden layer")
        whole = all(value.denominator == 1 for point in inputs for value in point.values())
        steps.require(whole, "with hidden and output biases the inputs are integers")
        used = _indices(inputs)
        still = [x for x, y in zip(inputs, targets, strict=True) if not any(y.values())]
        rows = [[1, *(int(x.get(q, 0)) for q in used)] for x in still]
        found = rank_modulo(np.array(rows, dtype=object).reshape(len(rows), len(used) + 1))
        spread = "inputs with the target 0 are affinely independent in all directions"
        steps.require(found == len(used) + 1, spread, f"{found - 1} of {len(used)}")

    def explain_exclusion(self) -> list[str]:
        """Return the proof in words."""
        p, q = PAIR.read(self.opposite, ("opposite",))
        lines = [
            "The targets have as high a rank as there are hidden units that may act, so the output",
            "weights of these are independent.",
            f"Targets of samples {p} and {q} are opposite, so the activations there would add up",
            "to 0; they are not negative, so they are 0, and so would be the targets.",
        ]
        if self.problem.output_biases:
            lines.append("Samples with the target 0 show that output biases would be 0.")
        return lines


def acting_units(problem: SparseTraining, inputs: list[int], outputs: list[int]) -> int:
    """Return how many units of the last hidden layer may act on some inputs and feed outputs."""
    first, *lower = problem.supports
    reached = np.zeros(problem.supports[-1].shape[1], dtype=bool)
    reached[inputs] = True
    for support in reversed(lower):
        reached = np.any(support[:, reached], axis=1) | problem.hidden_biases
    return int(np.count_nonzero(reached & np.any(first[outputs], axis=0)))


def _indices(points: tuple[Point, ...]) -> list[int]:
    """Return the entries that are not 0 at all points."""
    return sorted({i for point in points for i, value in point.items() if value})
