"""Forged data sets without an optimum: what the core must refuse, and why.

See `forgeries_closedness`. Most are data sets that some weights do attain, and each of these is
refused by the one condition that it lacks.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

from closedness_statements import training
from forging import (
    FULL,
    LOWER,
    LU,
    LU_CURVE,
    LU_LIMIT,
    LU_TREE,
    UPPER,
    Pairs,
    comparable,
    limit,
    lu,
)

import sparseopt as so

WIDE = [[1, 1, 1], [1, 1, 1]]
CURVES = [
    [[0, 0, {-1: 1}], [0, 1, {-1: -1}], [1, 0, {0: 1}]],
    [[0, 0, {0: 1}], [0, 1, {1: 1}], [1, 0, {0: 1}], [1, 2, {1: 1}]],
]
INPUTS = [[[0, 1]], [[1, 1]], [[2, 1]]]
TARGETS = [[[1, 1]], [[0, 1]], [[0, -1]]]
ZEROS: list[Any] = [[], [[0, -1]], [[1, -1]], [[2, -1]]]
"""Inputs at which the units of `CURVES` are off."""


TALL = ([*LOWER, [0, 1]], [*UPPER])
"""LU with an output more."""
DEEP = [
    [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0]],
    [[1, 1, 0, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]],
    [[1, 1], [0, 0], [1, 1], [1, 0], [1, 1]],
]
"""Trees of units: the first of the last layer has two outputs for itself, the last feeds none."""


def spread_out() -> Any:
    """Return the certificate of the dense network within one of 4 outputs and 5 inputs."""
    outer = [[i + 2, k, p] for i, k, p in CURVES[0]]
    inner = [[k, j + 2, p] for k, j, p in CURVES[1]]
    moved = [[[[i + 2, v] for i, v in point] for point in side] for side in (INPUTS, TARGETS)]
    return opposite(([[1, 1]] * 4, [[1] * 5] * 2), [outer, inner], *moved)


def made(cls: Any, problem: so.SparseTraining, *evidence: Any) -> Any:
    """Return a certificate with the verdict of its evidence, or with "?" if that tells none."""
    try:
        return cls.proved(problem, *evidence)
    except (ValueError, LookupError, AttributeError, TypeError):
        return cls(problem, so.TrainingVerdict("may_not_be_attained", "?"), *evidence)


def opposite(
    supports: Any = (FULL, WIDE),
    curves: Any = CURVES,
    inputs: Any = INPUTS,
    targets: Any = TARGETS,
    pair: Any = (1, 2),
    **biases: bool,
) -> Any:
    """Return a certificate by opposite targets, of the dense network unless told."""
    problem = so.SparseTraining(supports, **biases)
    return made(so.OppositeTargetsCertificate, problem, curves, inputs, targets, pair)


def with_zeros(count: int = 4, **biases: bool) -> Any:
    """Return that of the dense network with some samples whose targets are 0."""
    return opposite(
        inputs=INPUTS + ZEROS[:count], targets=TARGETS + [[] for _ in ZEROS[:count]], **biases
    )


def on_curve(nodes: Any, supports: Any = LU, proof: Any = None, **biases: bool) -> Any:
    """Return a certificate by a repeated pattern, of LU unless told."""
    inputs = [[[0, s], [1, s**2]] for s in nodes]
    targets = [[[0, s**2], [1, s]] for s in nodes]
    return repeated(inputs, targets, supports, proof, **biases)


def repeated(
    inputs: Any, targets: Any, supports: Any = LU, proof: Any = None, **biases: bool
) -> Any:
    """Return a certificate by a repeated pattern with any samples."""
    problem = so.SparseTraining(supports, **biases)
    proof = lu() if proof is None else proof
    curves = [positive(side) for side in LU_CURVE] if len(supports) == 2 else [[], [], []]
    return made(so.RepeatedPatternCertificate, problem, curves, inputs, targets, proof)


def positive(side: Any) -> Any:
    """Return a factor of the curve of LU; its hidden units are active for positive inputs."""
    return [[i, k, dict(powers)] for i, k, powers in side]


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    yield "opposite targets", opposite()
    yield "opposite targets, hidden biases", opposite(hidden_biases=True)
    yield "opposite targets, output biases", with_zeros(1, output_biases=True)
    yield "opposite targets, both biases", with_zeros(hidden_biases=True, output_biases=True)
    yield (
        "opposite targets, inputs twice as far",
        opposite(inputs=[[[0, 1]], [[1, 1], [0, 0]], [[2, 1]]]),
    )
    mirrored = [CURVES[0], [*CURVES[1][:3], [1, 1, {1: -1}]]]
    yield "opposite inputs", opposite((FULL, FULL), mirrored, [[[0, 1]], [[1, 1]], [[1, -1]]])
    paths = [[[i, i, {0: 1}] for i in range(3)]]
    square = [[1, 1, 1]] * 3
    yield "opposite targets behind a layer", opposite((FULL, WIDE, square), CURVES + paths)
    yield "a unit that does not act", opposite(([[1, 1, 1]] * 2, [*WIDE, [0, 0, 0]]))
    yield "a unit of another output", opposite(([*[[1, 1, 0]] * 2, [0, 0, 1]], [*WIDE, [1, 1, 1]]))
    yield "opposite targets, outputs and inputs to spare", spread_out()
    yield "repeated pattern, an output to spare", on_curve(range(1, 5), TALL, widened(TALL))
    for biases, count in (("", 4), ("hidden", 11), ("output", 7), ("hidden output", 11)):
        words = {f"{word}_biases": True for word in biases.split()}
        yield f"repeated pattern, {biases or 'no'} biases", on_curve(range(1, count + 1), **words)
    half = Fraction(1, 2)
    yield "repeated pattern at fractions", on_curve([half, 1, 2, Fraction(7, 3)])
    yield "training, trees", training([[[1, 1, 0], [0, 0, 1]], [[1, 1]] * 3])
    yield "training, one unit of two outputs", training([[[1, 0], [1, 0], [0, 1]], FULL])
    yield "training, deep trees", training([[[1, 1]], [[1, 1], [0, 0]], FULL])
    yield "training, deep trees of all shapes", training(DEEP)
    dead = [[[1, 1]], [[1, 1], [0, 1]], [[1, 1], [0, 0]]]
    yield "training, a deep unit without inputs", training(dead)
    yield "training, one matrix", training([FULL])
    yield "training, a unit without outputs", training([[[1, 0], [1, 0]], FULL])
    yield "training, a unit without inputs", training([FULL, [[1, 1], [0, 0]]])
    for word in ("hidden_biases", "output_biases"):
        kept = training([[[1, 1]], FULL])
        problem = so.SparseTraining([[[1, 1]], FULL], **{word: True})
        yield f"training, {word}", dataclasses.replace(kept, problem=problem)


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate), all to be refused."""
    yield from _verdicts()
    yield from _limits()
    yield from _exclusions()
    yield from _patterns()
    yield from _trees()


def _verdicts() -> Pairs:
    right = opposite()
    yield "t is nan; give a positive number | of weights", lambda: right.weights_at(math.nan)
    yield (
        "weights at 5e-324 leave the range of float64 | almost 0",
        lambda: right.weights_at(5e-324),
    )
    condition = right.answer.condition
    yield (
        "the verdict is that some data set has no optimum | attained",
        dataclasses.replace(right, answer=so.TrainingVerdict("attained", condition)),
    )
    yield (
        "the verdict says: a data set of 3 samples | free text",
        dataclasses.replace(right, answer=so.TrainingVerdict("may_not_be_attained", "no luck")),
    )


def _limits() -> Pairs:
    tends = "the outputs tend to the targets as t falls to 0"
    form = "the evidence has the form of its kind"
    yield "the network has a hidden layer | none", opposite(([[1, 1]],), [[]], [[]], [[]], (0, 0))
    twice = [[*CURVES[0], [0, 0, {0: 1}]], CURVES[1]]
    yield f"{form} | a weight twice", opposite(curves=twice)
    yield f"{form} | an entry of an input twice", opposite(inputs=[[[0, 1], [0, 1]], *INPUTS[1:]])
    yield f"{form} | a float", opposite(targets=[[[1, 1.0]], *TARGETS[1:]])
    yield f"{form} | a pair of three", opposite(pair=(1, 2, 0))
    yield "there are weights for every layer | one is missing", opposite(curves=CURVES[:1])
    yield (
        "the weights W_2(t) lie in their support | outside",
        opposite((FULL, [[1, 1, 1], [1, 1, 0]])),
    )
    yield (
        "the weights W_1(t) lie in their support | no such output",
        opposite(curves=[[*CURVES[0], [2, 0, {0: 1}]], CURVES[1]]),
    )
    yield (
        "the weights W_1(t) lie in their support | no such unit",
        opposite(curves=[[*CURVES[0], [1, 2, {0: 1}]], CURVES[1]]),
    )
    yield "there are targets for every input | two", opposite(targets=TARGETS[:2])
    yield (
        "the inputs have at most 3 entries | four",
        opposite(inputs=[*INPUTS, [[3, 1]]], targets=[*TARGETS, []]),
    )
    yield "the targets have at most 2 entries | three", opposite(targets=[*TARGETS[:2], [[2, 1]]])
    poles = [[*CURVES[0], [1, 1, {-2: 1}]], CURVES[1]]
    yield f"{tends} | a pole", opposite(curves=poles)
    yield f"{tends} | another limit", opposite(targets=[[[1, 2]], *TARGETS[1:]])
    yield (
        f"{tends} | a target that is not 0",
        opposite(targets=[[*TARGETS[0], [0, 3]], *TARGETS[1:]]),
    )
    # Without relu the outputs at -e_1 would be those at e_1 with the other sign.
    yield (
        f"{tends} | a unit that is off",
        opposite(inputs=[[[0, -1]], *INPUTS[1:]], targets=[[[1, -1]], *TARGETS[1:]]),
    )
    falling = [CURVES[0], [[i, k, {e: -v for e, v in p.items()}] for i, k, p in CURVES[1]]]
    yield f"{tends} | all units off", opposite(curves=falling)


def _exclusions() -> Pairs:
    rank = "the rank of the targets is"
    # The units (1, 2, 0) and (1, 0, 0) attain the targets with the output bias (-1, 0).
    zero = "there is a sample x = 0, at which output biases show"
    yield f"{zero} | none", opposite(output_biases=True)
    spread = "inputs with the target 0 are affinely independent in all directions"
    both = {"hidden_biases": True, "output_biases": True}
    yield f"{spread} | none", opposite(**both)
    yield f"{spread} | x = 0 only", with_zeros(1, **both)
    yield f"{spread} | a direction is missing", with_zeros(3, **both)
    zeros = [*ZEROS[:3], [[0, 0], [1, 0], [2, 0]]]
    yield (
        f"{spread} | x = 0 twice, once in words",
        opposite(inputs=INPUTS + zeros, targets=TARGETS + [[]] * 4, **both),
    )
    deep, identity = (FULL, WIDE, [[1, 1, 1]] * 3), [[i, i, {0: 1}] for i in range(3)]
    yield (
        "with hidden and output biases there is one hidden layer | two",
        opposite(deep, [*CURVES, identity], **both),
    )
    halves = [[], [[0, Fraction(-1, 2)]], [[1, -1]], [[2, -1]]]
    yield (
        "with hidden and output biases the inputs are integers | a half",
        opposite(inputs=INPUTS + halves, targets=TARGETS + [[]] * 4, **both),
    )
    # With h = (1, 2, 0), (1, 0, 0) and, for a unit that reads none of these inputs, (1, 1, 1).
    extra = ([[1, 1, 1], [1, 1, 0]], [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    yield f"{rank} 3 | a unit that is constant", opposite(extra, hidden_biases=True)
    # Three units, three activations: W = [[0, 1, -1], [1, 0, 0]], H = identity.
    yield f"{rank} 3 | a unit more", opposite(([[1, 1, 1]] * 2, [[1, 1, 1]] * 3))
    # One target row only: relu(x_1 - x_2) and so on attain it.
    yield (
        f"{rank} 2 | one output",
        opposite(curves=[CURVES[0][:2], CURVES[1]], targets=[[], *TARGETS[1:]]),
    )
    yield (
        "the targets are integers | halves",
        opposite(
            curves=[
                [[0, 0, {-1: Fraction(1, 2)}], [0, 1, {-1: Fraction(-1, 2)}], [1, 0, {0: 1}]],
                CURVES[1],
            ],
            targets=[[[1, 1]], [[0, Fraction(1, 2)]], [[0, Fraction(-1, 2)]]],
        ),
    )
    # The identity is attained by itself.
    plain = [[[0, 0, {0: 1}], [1, 1, {0: 1}]], [[0, 0, {0: 1}], [1, 1, {0: 1}]]]
    same = [[[0, 1]], [[1, 1]], []]
    yield "the pair of samples exists | none", opposite(pair=(1, 3))
    yield (
        "the targets of samples 0 and 1 are opposite | they are not",
        opposite(curves=plain, targets=same, pair=(0, 1)),
    )
    yield (
        "the targets of sample 2 are not 0 | opposite to themselves",
        opposite(curves=plain, targets=same, pair=(2, 2)),
    )


def _patterns() -> Pairs:
    point = "every sample is a point of the curve, with its image as target"
    enough = "there are more than"
    yield f"{enough} 3 samples | three", on_curve([1, 2, 3])
    yield f"{enough} 6 samples | output biases", on_curve(range(1, 7), output_biases=True)
    yield f"{enough} 10 samples | hidden biases", on_curve(range(1, 11), hidden_biases=True)
    yield "no point is taken twice | one is", on_curve([1, 2, 3, 3])
    yield f"{point} | behind 0", on_curve([1, 2, 3, -1])
    yield f"{point} | at 0", on_curve([0, 1, 2, 3])
    inputs = [[[0, s], [1, s**2]] for s in (1, 2, 3)]
    targets = [[[0, s**2], [1, s]] for s in (1, 2, 3)]
    yield (
        f"{point} | beside it",
        repeated([*inputs, [[0, 4], [1, 15]]], [*targets, [[0, 15], [1, 4]]]),
    )
    wide = [[[1, 0], [1, 1]], [[1, 1, 0], [0, 1, 0]]]
    beside = [[*x, [2, 5]] for x in inputs]
    more = [*beside, [[0, 4], [1, 16], [2, 5]]]
    yield (
        f"{point} | an input more",
        repeated(more, [*targets, [[0, 16], [1, 4]]], wide, widened(wide)),
    )
    yield (
        "a limit is the proof of not closed | closed",
        on_curve(range(1, 5), proof=comparable(*LU)),
    )
    yield "a limit is the proof of not closed | nothing", on_curve(range(1, 5), proof="trust me")
    yield (
        "it is about closedness of products with supports 2 x 2 and 2 x 2 (real) | others",
        on_curve(range(1, 5), (LOWER, FULL)),
    )
    deep = repeated([], [], (LOWER, UPPER, UPPER))
    yield "the network has one hidden layer | a repeated pattern in two", deep
    silent, nothing = so.SparseTraining(LU), [[], [], [], []]
    four = [*inputs, [[0, 4], [1, 16]]]
    evidence = ([[], []], four, nothing, lu())
    yield f"{point} | another image", made(so.RepeatedPatternCertificate, silent, *evidence)


def widened(supports: Any) -> Any:
    """Return the proof of LU for supports that hold it in their first rows and columns."""
    return limit(supports, LU_CURVE, LU_LIMIT, LU_TREE, rows=(0, 1), columns=(0, 1))


def _trees() -> Pairs:
    feeds = "no hidden unit feeds more than the condition allows"
    yield f"{feeds} | two units of two outputs", training([FULL, FULL])
    yield f"{feeds} | below one output", training([[[1, 1]], FULL, FULL])
    changes = {
        "a deep unit of two": (1, 1, 0),
        "an output of two units": (0, 1, 1),
        "an output of a shared unit": (0, 2, 0),
    }
    for what, (layer, i, k) in changes.items():
        supports = [[list(row) for row in support] for support in DEEP]
        supports[layer][i][k] = 1
        yield f"{feeds} | {what}", training(supports)
    biased = so.SparseTraining([FULL, [[1, 1], [0, 0]]], hidden_biases=True)  # type: ignore[call-arg]
    yield (
        f"{feeds} | a unit that is constant",
        dataclasses.replace(training([FULL, [[1, 1], [0, 0]]]), problem=biased),
    )
