"""Whether training a ReLU network with fixed supports always has an optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sparseopt.closedness.problem import Closedness
from sparseopt.interface.arrays import Supports
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import printable, short
from sparseopt.interface.problem import Problem
from sparseopt.judging.evidence import brief

VALUES = ("attained", "may_not_be_attained", "unknown")
ONE_OUTPUT = "one hidden layer and one output: an optimum exists for all data"
TREES = (
    "every hidden unit feeds one unit or one output, but for units of the last hidden layer whose "
    "outputs no other feeds: an optimum exists for all data"
)
NOT_CLOSED = (
    "the set of products with these supports is not closed, so some data set has no optimum"
)
"""The conditions that give a verdict, in words."""


@json_type
@dataclass(frozen=True)
class TrainingVerdict:
    """The answer, and the condition that gives it.

    Attributes
    ----------
    value : str
        ``"attained"``: an optimum exists for every data set. ``"may_not_be_attained"``: for some
        data set there is none. ``"unknown"``: no condition applies.
    condition : str
        The condition used, in words.
    """

    value: str
    condition: str

    def __post_init__(self) -> None:
        if type(self.value) is not str or self.value not in VALUES:
            raise ProblemError(f"value must be one of {VALUES}, got {short(self.value)}")
        if type(self.condition) is not str:
            raise ProblemError(f"condition must be a text, got {type(self.condition).__name__}")

    def __str__(self) -> str:
        return printable(f"{self.value.replace('_', ' ')}: {self.condition}", 2000)


@json_type
@dataclass(frozen=True, eq=False)
class SparseTraining(Problem[TrainingVerdict, Any]):
    """Does training a ReLU network with fixed supports always have an optimum?

    The network is ``W_1 relu(W_2 ... relu(W_L x))``. The loss is the squared error over a finite
    data set. An optimum that is not attained is a valley at infinity: the loss falls towards its
    infimum only while weights grow without bound.

    Parameters
    ----------
    supports : sequence of 0/1 arrays
        I_1, ..., I_L as for `Closedness`: the first is that of the output layer.
    hidden_biases : bool
        Whether every hidden unit has a bias, which is trained too: relu(W_l a + b_l).
    output_biases : bool
        Whether every output has one.

    Examples
    --------
    >>> import sparseopt as so
    >>> print(so.solve(so.SparseTraining([[[1, 0, 1]], [[1, 1], [0, 1], [1, 0]]])).answer.value)
    attained

    With two outputs and three inputs even a dense network has data without an optimum:

    >>> solution = so.solve(so.SparseTraining([[[1, 1], [1, 1]], [[1, 1, 1], [1, 1, 1]]]))
    >>> inputs, targets = solution.certificate.data_set()
    >>> inputs.shape, targets.shape
    ((3, 3), (3, 2))
    """

    supports: tuple[np.ndarray, ...]
    hidden_biases: bool = False
    output_biases: bool = False

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, supports: Supports, hidden_biases: bool = False, output_biases: bool = False
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "supports", Closedness(self.supports).supports)
        for name in ("hidden_biases", "output_biases"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise ProblemError(f"{name} must be True or False, got {brief(value)}")
            object.__setattr__(self, name, bool(value))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> SparseTraining:
        """Rebuild it from JSON, also of the time before there were biases."""
        known = {"supports", "hidden_biases", "output_biases"}
        if "supports" not in fields or not set(fields) <= known:
            raise ProblemError(f"SparseTraining has fields {sorted(known)}, got {sorted(fields)}")
        return cls(**fields)

    def evaluate(self, answer: TrainingVerdict) -> Mapping[str, float]:
        """Return 1 for an answer that leaves the question open."""
        return {"undecided": float(answer.value == "unknown")}

    def describe(self) -> str:
        """Return one line with the sizes."""
        shapes = " and ".join(f"{s.shape[0]} x {s.shape[1]}" for s in self.supports)
        kinds = ("hidden", self.hidden_biases), ("output", self.output_biases)
        biases = " and ".join(word for word, there in kinds if there)
        return f"training with supports {shapes}" + (f", {biases} biases" if biases else "")

    def undecided(self, tried: Sequence[str]) -> TrainingVerdict:
        """Return the honest "unknown"."""
        return TrainingVerdict("unknown", "no condition applies: " + "; ".join(tried))

    def live_units(self) -> list[np.ndarray]:
        """Return for every hidden layer, the last first, which of its units may matter.

        Such a unit reaches an output; and without hidden biases an input reaches it, else it is 0.
        """
        lower = self.supports[1:]
        up = [np.any(self.supports[0], axis=0)]
        for support in lower[:-1]:
            up.append(np.any(support[up[-1]], axis=0))
        down = [np.ones(self.supports[-1].shape[1], dtype=bool)]
        for support in reversed(lower):
            down.append(self.hidden_biases | np.any(support[:, down[-1]], axis=1))
        return [u & d for u, d in zip(up, reversed(down[1:]), strict=False)]


def first_shared(problem: SparseTraining) -> str | None:
    """Return where the condition `TREES` fails, or None if it holds.

    Proof that training then has an optimum for every finite data set x_1, ..., x_N. Units that do
    not matter are left out. Look at the vectors (a(x_p))_p in R^N that a unit a can reach.

    1. What a unit can reach is a finite union of polyhedral cones. In the first layer it is relu of
       a linear subspace (with the multiples of (1, ..., 1) if there are biases), and relu is linear
       on each orthant. In the others it is relu of the sum of all multiples of what each unit that
       feeds it can reach: these choose independently of each other, as each feeds one unit only.
    2. Link outputs that a unit of the last layer feeds both. Components are independent: they
       share no unit, and inputs may be shared.
    3. A component with one output reaches sums as in 1, a finite union of polyhedral cones.
    4. A component with one unit reaches {u h^T + b 1^T : h in C}, C a closed cone; without b it is
       closed because rank-one terms can be scaled so that |h| = 1. With b it is the sum of a
       subspace and the same set for C modulo 1, which is again a finite union of polyhedral cones.

    All of these are closed, and a closed set has a point nearest to the targets. If only some
    outputs had biases, 4 would be false: the projection would not be the same for all of them.
    (One hidden layer and one output: Le, Riccietti, Gribonval, arXiv 2306.02666.)
    """
    supports, live = problem.supports, problem.live_units()
    for depth in range(1, len(live)):
        feeds = supports[depth][live[depth - 1]].sum(axis=0) * live[depth]
        if feeds.max(initial=0) > 1:
            return f"unit {int(feeds.argmax())} of the hidden layer below support {depth}"
    if not live:
        return None
    last = supports[0][:, live[0]]
    alone = last.sum(axis=1) <= 1
    wrong = (last.sum(axis=0) > 1) & np.any(last[~alone], axis=0)
    if not np.any(wrong):
        return None
    return f"unit {np.flatnonzero(live[0])[wrong][0]} of the last hidden layer"


@proves(SparseTraining)
@json_type
@dataclass(frozen=True, eq=False)
class TrainingCertificate(Certificate):
    """The condition that holds, with the closedness certificate where it rests on one.

    Attained: see `first_shared`. Not attained: if training has an optimum for every data set, then
    the set of products of matrices with these supports is closed (Le, Riccietti, Gribonval, arXiv
    2306.02666), so supports that are not closed have data without an optimum. Proof, for any
    number of layers and any biases. Let W(t) be a curve whose products tend to A, not a product.
    Every row of W_l ... W_L(t) has a limit direction; take x_0 orthogonal to none of them, and flip
    signs of hidden units so that all are at least 0 at x_0. On a ball around x_0, for small t,
    every unit is then on or identically 0, and the network is x -> W_1 ... W_L(t) x -> A x. Take as
    data 2^h (n + 1) + 1 points of the ball in general position, h the number of hidden units and n
    of inputs, with targets A x: the infimum of the loss is 0. If it were attained, n + 1 affinely
    independent points would share their pattern of active units D_l, so the network, affine there,
    would have the slope A = W_1 D_2 W_2 ... D_L W_L, a product.
    """

    problem: SparseTraining
    answer: TrainingVerdict
    closedness: Certificate | None = None

    @classmethod
    def proved(
        cls, problem: SparseTraining, closedness: Certificate | None = None
    ) -> TrainingCertificate:
        """Return the certificate, with the verdict that it is meant to prove."""
        if closedness is not None:
            verdict = TrainingVerdict("may_not_be_attained", NOT_CLOSED)
        else:
            plain = len(problem.supports) == 2 and problem.supports[0].shape[0] == 1
            verdict = TrainingVerdict("attained", ONE_OUTPUT if plain else TREES)
        return cls(problem, verdict, closedness)

    @property
    def claim(self) -> str:
        """What is proved."""
        return claimed(self.problem, self.answer)

    @property
    def accuracy(self) -> float:
        """Exact: 0."""
        return 0.0

    def check(self, steps: Steps) -> None:
        """Check the condition."""
        supports, answer = self.problem.supports, self.answer
        steps.require(answer.value in VALUES[:2], "the verdict makes a claim")
        if answer.value == "may_not_be_attained":
            steps.require(answer.condition == NOT_CLOSED, f"the verdict says: {NOT_CLOSED}")
            asked = Closedness(list(supports))
            steps.require_proof(self.closedness, of=asked, verdict="not_closed")
            return
        steps.require(self.closedness is None, "it rests on no certificate of closedness")
        if answer.condition == ONE_OUTPUT:
            steps.require(len(supports) == 2, "the network has one hidden layer")
            steps.require(supports[0].shape[0] == 1, "the network has one output")
            return
        steps.require(answer.condition == TREES, f"the verdict says: {TREES}")
        shared = first_shared(self.problem)
        found = f"{shared}"
        steps.require(shared is None, "no hidden unit feeds more than the condition allows", found)

    def explain(self) -> str:
        """Return the condition, and the proof that it rests on."""
        proof = f"\n{self.closedness.explain()}" if self.closedness is not None else ""
        known = self.answer.condition in (ONE_OUTPUT, TREES, NOT_CLOSED)
        return f"{self.answer.condition if known else 'Nothing is claimed'}.{proof}"


def claimed(problem: SparseTraining, answer: TrainingVerdict) -> str:
    """Return what an answer claims, in words."""
    words = {
        "attained": "an optimum exists for every data set",
        "may_not_be_attained": "some data set has no optimum",
    }
    return f"{problem.describe()}: {words.get(answer.value, 'nothing')}"
