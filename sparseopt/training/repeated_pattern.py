"""A data set without optimum for two supports whose products are not closed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.closedness.certificate import proving
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.problem import Closedness
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.evidence import EvidenceError
from sparseopt.training.data_without_optimum import DataWithoutOptimumCertificate
from sparseopt.training.sparse_training import SparseTraining


@proves(SparseTraining)
@json_type
@dataclass(frozen=True, eq=False)
class RepeatedPatternCertificate(DataWithoutOptimumCertificate):
    """So many samples that weights attaining them would make a limit of products a product.

    One hidden layer. Let A be a limit of products that is no product, q_1, ..., q_n its columns
    spoken of (in the others it is 0). The samples are x(s) = s e_q1 + s^2 e_q2 + ... + s^n e_qn
    with the targets A x(s), for more than (h d + 1) (k - 1) distinct s > 0, where h is the number
    of hidden units that read one of these inputs and feed an output; d = n with hidden biases, else
    n - 1; k = n without any biases, else n + 1.

    Proof. Suppose that weights attain the targets. What a unit sees at x(s) is a polynomial with
    the powers s, ..., s^n, and s^0 with a bias: not always 0, it has at most d roots s > 0. So
    s > 0 falls into at most h d + 1 closed intervals, in each of which every unit is on or off
    throughout (0 at its ends, where both is right). One of them holds k samples. On these the
    network is W_1 D (W_2 x + b_2) + b_1, D diagonal with entries 0 and 1, and equal to A x. Any n
    points x(s) are linearly independent, and any n + 1 affinely (Vandermonde), so W_1 D W_2 agrees
    with A in the columns q: with the other columns of W_2 made 0, A is a product. (Inputs other
    than q are 0 at all samples; units that read none of q are constant and have no roots.)
    Against the 2^h (n + 1) + 1 points in general position of `TrainingCertificate` these are few.

    Attributes
    ----------
    closedness : NotClosedCertificate
        That the limit is one, and no product.
    """

    closedness: Any

    @property
    def why(self) -> str:
        """The argument in short."""
        return (
            "weights that attain its targets would make a product of a limit of products that is "
            "none"
        )

    def exclude(self, steps: Steps) -> None:
        """Check the limit, the inputs, the targets and their number."""
        problem, proof = self.problem, self.closedness
        steps.require(len(problem.supports) == 2, "the network has one hidden layer")
        steps.require(type(proof) is NotClosedCertificate, "a limit is the proof of not closed")
        asked = Closedness(list(problem.supports))
        steps.require_proof(proof, of=asked, verdict="not_closed")
        first, last = problem.supports
        columns, limit = list(proof.evidence.columns), proof.limit_matrix()
        nodes = []
        with proving(steps, "every sample is a point of the curve, with its image as target"):
            for number, (x, y) in enumerate(zip(*self.evidence[1:], strict=True)):
                s = x.get(columns[0], Fraction(0)) if columns else Fraction(0)
                powers = {q: s**power for power, q in enumerate(columns, start=1)}
                if s <= 0 or {q: v for q, v in x.items() if v} != powers:
                    raise EvidenceError(f"the input of sample {number} is no point of the curve")
                if not _is_image(limit, x, y):
                    raise EvidenceError(f"the target of sample {number} is no image of it")
                nodes.append(s)
        steps.require(len(set(nodes)) == len(nodes), "no point is taken twice")
        n, affine = len(columns), problem.hidden_biases or problem.output_biases
        roots = n if problem.hidden_biases else n - 1
        units = int(np.count_nonzero(np.any(last[:, columns], axis=1) & np.any(first, axis=0)))
        most = (units * roots + 1) * (n + affine - 1)
        steps.require(len(nodes) > most, f"there are more than {most} samples", f"{len(nodes)}")

    def explain_exclusion(self) -> list[str]:
        """Return the proof in words."""
        return [
            "The samples lie on a curve along which a unit goes on or off only a few times, and",
            "there are so many of them that enough share one pattern of active units: there the",
            "network is linear, and known. So the targets would come from a product of matrices",
            "with these supports, and they come from a matrix that is none:",
            self.closedness.explain(),
        ]


def _is_image(limit: Any, x: dict[int, Fraction], y: dict[int, Fraction]) -> bool:
    """Return whether the limit takes x to y."""
    for i, row in enumerate(limit):
        if sum((row[j] * value for j, value in x.items()), Fraction(0)) != y.get(i, 0):
            return False
    return True
