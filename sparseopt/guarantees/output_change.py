"""How far two networks differ on a box of inputs: the question, its answer, and the proof."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sparseopt.guarantees.boxes import Box, Values, bends, bent, straight
from sparseopt.guarantees.layers import Layer, bare, layers, require_known
from sparseopt.guarantees.path_metric import path_metric
from sparseopt.guarantees.substitution import Substitution
from sparseopt.interface.arrays import (
    as_array,
    as_figure,
    read_only,
    require_finite,
    to_double,
)
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.judging.rounding import shown_above
from sparseopt.judging.serialization import same_content
from sparseopt.networks.network import Network

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SLACK = 2.0**-20
"""How far, relatively, bounds of a layer that are stated may be above those of its boxes."""

_ROWS: tuple[tuple[tuple[tuple[int, int, int], bool], ...], ...] = (
    (((1, 0, 0), False), ((1, 0, 0), True), ((0, -1, 1), False)),
    (((0, 1, 0), False),),
    (((0, 0, 1), False),),
)
"""For D, h' and h: the coefficients of all three by which a bound may be proved, and `by_other`."""

METHODS = ("path_metric", "signed_intervals", "substitution")


def _bounds(value: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return bounds in float64 and a shape; a number stands for as many."""
    array = as_array(value, name)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or array.dtype == np.float16:
        raise ProblemError(f"{name} has dtype {array.dtype}; convert it to float32 or float64")
    if array.shape not in ((), shape):
        raise ProblemError(f"{name} has shape {array.shape}; give a number, or the shape {shape}")
    require_finite(array, name)
    return read_only(np.broadcast_to(to_double(array, name), shape))


@json_type
@dataclass(frozen=True, eq=False)
class OutputChange(Problem["OutputChangeValue", "OutputChangeCertificate"]):
    """How far the outputs of two networks differ on a box of inputs.

    Asked is an interval for each output that holds ``f(x) - f'(x)`` for every x with
    ``lower <= x <= upper``.

    Parameters
    ----------
    network, other : Network
        f and f': the same layers with other parameters, of any signs, for example before and after
        pruning or rounding. Layers are compared in order; their names may differ.
    lower, upper : float, or array of the shape of the input
        float32, float64 or integers, finite.

    Raises
    ------
    ProblemError
        For networks of different layers, saying where they part; for layers whose values nothing
        here bounds, and for more than 2^27 values, of which boxes are held; for a lower bound above
        the upper one, by entry; NaN, infinity, float16.

    Notes
    -----
    The functions are those of the numbers that are stored, in real arithmetic: what a forward pass
    in floating point rounds is not part of the difference.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.array([[1.0, -2.0]])), Relu(), Dense(np.array([[3.0]])))
    >>> pruned = net.with_parameters({"0:Dense.weight": np.array([[0.0, -2.0]])})
    >>> answer = so.solve(so.OutputChange(net, pruned, lower=0, upper=1)).answer
    >>> 3.0 <= answer.l1 <= 3.0 + 1e-12
    True
    """

    network: Network
    other: Network
    lower: np.ndarray
    upper: np.ndarray
    accuracy_is: ClassVar[str] = "proved bound of the L1 change of the outputs"

    if TYPE_CHECKING:

        def __init__(
            self, network: Network, other: Network, lower: ArrayLike, upper: ArrayLike
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("network", "other"):
            if not isinstance(getattr(self, name), Network):
                raise ProblemError(f"{name} must be a Network; make one with so.load_network")
        require_same_layers(self.network, self.other)
        require_known(self.network)
        for name in ("lower", "upper"):
            bounds = _bounds(getattr(self, name), name, self.network.input_shape)
            object.__setattr__(self, name, bounds)
        wrong = np.argwhere(self.lower > self.upper)
        if len(wrong):
            place = tuple(wrong[0].tolist())
            raise ProblemError(
                f"lower is {self.lower[place]} and upper is {self.upper[place]} at entry "
                f"{place}; a box needs lower <= upper"
            )

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """What the judge reads of the layers of both networks."""
        return layers(self.network, self.other)

    @property
    def start(self) -> str:
        """The name of the input."""
        return self.network.nodes[0].name

    @property
    def box(self) -> Values:
        """The input, which is the same for both networks."""
        box = Box(self.lower[None], self.upper[None])
        return Values(Box(0 * box.low, 0 * box.low), box, box)

    def evaluate(self, answer: OutputChangeValue) -> Mapping[str, float]:
        """Return the L1 bound; among valid answers the smaller is the better."""
        return {"l1": answer.l1}

    def describe(self) -> str:
        """Name the network."""
        return f"change of the outputs of a {self.network.describe()} on a box of inputs"


def require_same_layers(network: Network, other: Network) -> None:
    """Refuse two networks that differ in more than their parameters, saying where they part."""
    outlines = [_outline(net) for net in (network, other)]
    if same_content(*outlines):
        return
    same = 0
    while all(same < len(o) for o in outlines) and same_content(*(o[same] for o in outlines)):
        same += 1
    used = ([n for n in net.nodes if n.name in net.used] for net in (network, other))
    there = [f"{n[same].name!r}, {n[same].op.describe()}" if same < len(n) else "" for n in used]
    found = [f"node {words}" if words else "its end" for words in there]
    if not same:
        found = [f"inputs of the shape {net.input_shape}" for net in (network, other)]
    raise ProblemError(
        f"the networks part where one has {found[0]}, and the other {found[1]}; only networks of "
        "the same layers are compared, with the same strides, padding and windows, at the same "
        "places in the graph"
    )


def _outline(network: Network) -> list[Any]:
    """Return what two networks must have in common, layer by layer."""
    used = [node for node in network.nodes if node.name in network.used]
    place = {node.name: i for i, node in enumerate(used)}
    shapes = [{k: v.shape for k, v in node.op.parameters().items()} for node in used]
    reads = [[place[name] for name in node.inputs] for node in used]
    return list(zip(reads, shapes, [bare(node.op) for node in used], strict=True))


@json_type
@dataclass(frozen=True, eq=False)
class OutputChangeValue:
    """Proved bounds of ``f(x) - f'(x)`` for all x of a box.

    Parameters
    ----------
    lower, upper : float64 array, shape of the output
    l1 : float
        At least ``sum_j max(|lower_j|, |upper_j|)``, hence ``|f(x) - f'(x)|_1`` for all x.
    """

    lower: np.ndarray
    upper: np.ndarray
    l1: float

    def __post_init__(self) -> None:
        for name in ("lower", "upper"):
            array = as_array(getattr(self, name), name)
            if array.dtype != np.float64:
                raise ProblemError(f"{name} has dtype {array.dtype}, not float64")
            require_finite(array, name)
            object.__setattr__(self, name, read_only(array))
        if self.lower.shape != self.upper.shape:
            raise ProblemError("lower and upper differ in shape")
        object.__setattr__(self, "l1", as_figure(self.l1, "l1"))

    @staticmethod
    def of(lower: np.ndarray, upper: np.ndarray) -> OutputChangeValue:
        """Return the answer with these bounds, and the least float that is not below its L1."""
        sizes = np.maximum(np.abs(lower), np.abs(upper)).ravel().tolist()
        try:
            nearest = math.fsum(sizes)
        except OverflowError:
            return OutputChangeValue(lower, upper, math.inf)
        exact = math.fsum([*sizes, -nearest]) <= 0
        l1 = nearest if exact else math.nextafter(nearest, math.inf)
        return OutputChangeValue(lower, upper, l1)


@proves(OutputChange)
@json_type
@dataclass(frozen=True, eq=False)
class OutputChangeCertificate(Certificate):
    """Bounds of the change of outputs that the core proves again from the layers' fields.

    Parameters
    ----------
    method : {"path_metric", "signed_intervals", "substitution"}
        How far the core goes: the three passes of eq. (8), see `path_metric`; boxes of the values
        and of their difference, layer by layer, see `boxes`; or these, and by backward
        substitution what they do not prove, see `substitution`.
    bounds : dict of str to array, shape (3, 2, *shape)
        For the method "substitution", of some layers: lower and upper bounds of the change of its
        values, of the other network's values and of the first one's. Each is proved from the layers
        before it, and then used.
    """

    problem: OutputChange
    answer: OutputChangeValue
    method: str
    bounds: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """The L1 bound; 0 says that the outputs are equal."""
        return self.answer.l1

    @property
    def claim(self) -> str:
        """The L1 bound in words."""
        return (
            f"the outputs of the two networks differ by at most {shown_above(self.answer.l1, 15)} "
            "in the L1 norm, and each by what lies in its interval, for every input in the box"
        )

    def check(self, steps: Steps) -> None:
        """Prove the bounds again by the method named."""
        problem, answer, shape = self.problem, self.answer, self.problem.network.output_shape
        steps.require(self.method in METHODS, f"the method is one of {', '.join(METHODS)}")
        steps.require(answer.lower.shape == shape, "there is an interval for each output")
        least = OutputChangeValue.of(answer.lower, answer.upper).l1
        words = "the L1 bound is the least float that is at least the sum of the larger ends"
        steps.require(answer.l1 == least < math.inf, words, f"{answer.l1!r} for {least!r}")
        stated = Box(answer.lower[None], answer.upper[None])
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            if self.method == "path_metric":
                reach = problem.box.first.size[0]
                most = path_metric(problem.layers, problem.start, reach)[None]
                _require(steps, _missing(Box(-most, most), stated), "eq. (8)")
            else:
                self._check_boxes(steps, stated)

    def _check_boxes(self, steps: Steps, stated: Box) -> None:
        """Pass the boxes on, narrowed where bounds are stated; then look at the output."""
        problem, names = self.problem, set(self.bounds)
        fits = not names or (self.method == "substitution" and names <= set(problem.layers))
        steps.require(fits, "bounds are stated of layers of the network, for substitution only")
        known = {problem.start: problem.box}
        scale = float(problem.box.first.size.max())
        proof = Substitution(problem.layers, known)
        for name, layer in problem.layers.items():
            values = straight(layer, [known[source] for source in layer.sources])
            known[name] = bent(layer, values) if bends(layer) else values
            if name in names:
                narrow = _stated_values(steps, self.bounds[name], layer.shape)
                own = known[name].parts()
                scale = max(scale, *(float(box.size.max()) for box in own))
                for kind, box in enumerate(narrow.parts()):
                    wide = own[kind].enlarged(SLACK * scale + 2.0**-900)
                    inside = bool((wide.low <= box.low).all() and (box.high <= wide.high).all())
                    steps.require(inside, "no stated bound is far outside those that boxes prove")
                    self._prove(steps, proof, name, kind, box)
                known[name] = narrow
        if self.method == "substitution":
            self._prove(steps, proof, problem.network.output, 0, stated)
        else:
            missing = _missing(known[problem.network.output].change, stated)
            _require(steps, missing, "signed intervals")

    def _prove(self, steps: Steps, proof: Substitution, name: str, kind: int, stated: Box) -> None:
        """Require that stated bounds hold: by the boxes, else by rows of one kind or another."""
        missing = _missing(proof.known[name].parts()[kind], stated)
        for row, by_other in _ROWS[kind]:
            for side, sign in ((0, -1.0), (1, 1.0)):
                places = np.flatnonzero(missing[side])
                if not places.size:
                    continue
                most = proof.highest(name, [sign * factor for factor in row], places, by_other)
                wanted = sign * (stated.high if side else stated.low).ravel()[places]
                np.put(missing[side], places, ~(most <= wanted))
        _require(steps, missing, f"backward substitution at layer {name!r}")


def _missing(proved: Box, stated: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return where a stated lower, and upper, bound is narrower than the proved one."""
    return ~(stated.low <= proved.low), ~(proved.high <= stated.high)


def _require(steps: Steps, missing: tuple[np.ndarray, np.ndarray], how: str) -> None:
    count = int(missing[0].sum() + missing[1].sum())
    steps.require(count == 0, f"each stated bound is proved by {how}", f"{count} bounds are not")


def _stated_values(steps: Steps, bounds: Any, shape: tuple[int, ...]) -> Values:
    array = np.asarray(bounds)
    fits = array.dtype == np.float64 and array.shape == (3, 2, *shape)
    words = "the stated bounds are three intervals of finite floats for each value"
    steps.require(fits and bool(np.isfinite(array).all()), words)
    return Values(*(Box(pair[0][None], pair[1][None]) for pair in array))
