"""The proof of how far a network with one hidden layer is from the best one of any width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparseopt.interface.arrays import as_figure, read_only, require_finite
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.judging.figures import ROOMS, Figure
from sparseopt.judging.rounding import UNIT, above, below, shown_above
from sparseopt.training.activation_cover import ActivationCover, Cones
from sparseopt.training.two_layer_bounds import cost, gated_reach, lower_bound
from sparseopt.training.two_layer_network import TwoLayerNetwork
from sparseopt.training.two_layer_relu import TwoLayerReLU
from sparseopt.training.two_layer_units import Units


@proves(TwoLayerReLU)
@json_type
@dataclass(frozen=True, eq=False)
class TwoLayerReLUCertificate(Certificate):
    """Proves how far a network is from globally optimal, however it was trained.

    Attributes
    ----------
    problem : TwoLayerReLU
    answer : TwoLayerNetwork
    dual_point : ndarray of float64, shape (samples,) or (samples, outputs)
        A feasible point t of the dual problem, of which the network knows nothing.
    cover : ActivationCover or None
        The proof that t is feasible for every ReLU neuron; None with gates, where it is seen gate
        by gate.
    primal, dual : float
        The objective of the network is at most `primal`, and that of no network, of whatever width,
        is below `dual`.
    gap : float
        The objective exceeds the minimum by at most this. All three cover the rounding errors of
        their own evaluation.

    Notes
    -----
    `sparseopt.training.two_layer_bounds` and `sparseopt.training.activation_cover` have the proofs.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.TwoLayerReLU([[1.0], [-1.0]], [2.0, 0.5], decay=1.0)
    >>> certificate = so.solve(problem).certificate
    >>> trained = so.TwoLayerNetwork([[0.9]], [1.1])
    >>> far = certificate.of(trained)  # the same proof bounds the distance of any network
    >>> so.verify(far).ok, 0.02 < far.gap < 0.0201
    (True, True)
    """

    problem: TwoLayerReLU
    answer: TwoLayerNetwork
    dual_point: np.ndarray
    cover: ActivationCover | None
    primal: float
    dual: float
    gap: float

    def __post_init__(self) -> None:
        point = np.asarray(self.dual_point)
        point = point.astype(np.float64, casting="same_kind", copy=False)
        if point.shape != self.problem.targets.shape:
            raise ProblemError(
                f"dual_point has shape {point.shape}; it has that of the targets, "
                f"{self.problem.targets.shape}"
            )
        require_finite(point, "dual_point")
        object.__setattr__(self, "dual_point", read_only(point))
        for name in ("primal", "dual", "gap"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls,
        problem: TwoLayerReLU,
        network: TwoLayerNetwork,
        dual_point: np.ndarray,
        cover: ActivationCover | None,
    ) -> TwoLayerReLUCertificate:
        """Return the certificate of a network with a dual point that is feasible with its cover."""
        units = problem.units()
        made = cls(problem, network, dual_point, cover, 0.0, 0.0, 0.0)
        figures = made._stated(units, ROOMS)
        return cls(problem, network, dual_point, cover, *figures)

    def of(self, network: TwoLayerNetwork) -> TwoLayerReLUCertificate:
        """Return the certificate of another network of the same problem, by the same dual point."""
        return type(self).build(self.problem, network, self.dual_point, self.cover)

    @cached_property
    def _cost(self) -> Figure:
        """The objective, as the judge finds it, in his units."""
        return cost(self.problem, self.answer)

    def _stated(self, units: Units, rooms: float) -> tuple[float, float, float]:
        """Return bounds of objective, minimum and gap, in the units of the problem."""
        least = lower_bound(self.problem, units.dual(self.dual_point)).low(rooms)
        most = self._cost.high(rooms)
        primal = Figure(most, 0.0, 2 * units.b).high() if most else 0.0
        dual = Figure(least, 0.0, 2 * units.b).low()
        return primal, dual, above(primal - dual) if primal > dual else 0.0

    @property
    def accuracy(self) -> float:
        """An upper bound of the gap over the objective.

        Where the objective is below 2^-53 times that of the zero network, which no data in float64
        tell from zero, that takes its place. It is 0 if the gap is 0.
        """
        targets = self.problem.units().targets
        return self._over_objective(
            UNIT * below(0.5 * float(np.square(targets).sum()), targets.size + 8)
        )

    @property
    def relative_gap(self) -> float:
        """An upper bound of the gap over the objective, however small that is; 0 if the gap is."""
        return self._over_objective(0.0)

    def _over_objective(self, least: float) -> float:
        if self.gap == 0:
            return 0.0
        units = self.problem.units()
        size = Figure(max(self._cost.low(), least), 0.0, 2 * units.b).low()
        return above(self.gap / size, 2) if size > 0 else math.inf

    @property
    def claim(self) -> str:
        """The gap."""
        among = "of any width" if self.problem.gates is None else "with these gates, of any width,"
        return (
            f"the objective of the network is at most {shown_above(self.primal, 10)} and exceeds "
            f"that of no network {among} by more than {shown_above(self.gap, 3)}"
        )

    def check(self, steps: Steps) -> None:
        """Re-derive everything from the problem, the network, the dual point and its cover."""
        problem, network = self.problem, self.answer
        kind = type(network)
        steps.require(kind is TwoLayerNetwork, "the answer is a TwoLayerNetwork", kind.__name__)
        units, point = problem.units(), self.dual_point
        problem.active(network)  # it refuses a network that does not fit
        exact = (
            units.original_weights(units.weights(network.hidden)),
            units.original_weights(units.weights(network.outer)),
        )
        steps.require(
            np.array_equal(exact[0], network.hidden) and np.array_equal(exact[1], network.outer),
            "no weight is so small or large that scaling it loses digits",
        )
        scaled = units.dual(point)
        steps.require(
            np.array_equal(units.original_dual(scaled), point),
            "no entry of the dual point is so small or large that scaling it loses digits",
        )
        self._check_feasible(steps, units, scaled)
        names = (
            ("the objective is at most", self.primal),
            ("the minimum is at least", self.dual),
            ("the gap is at most", self.gap),
        )
        for (name, stated), own in zip(names, self._stated(units, 1.0), strict=True):
            lower = name == "the minimum is at least"
            steps.require(
                stated <= own if lower else own <= stated < math.inf,
                f"{name} {stated!r}, rounding included",
                repr(own),
            )

    def _check_feasible(self, steps: Steps, units: Units, point: np.ndarray) -> None:
        cover = self.cover
        if self.problem.gates is not None:
            steps.require(cover is None, "a problem with gates needs no cover")
            reach = gated_reach(self.problem, point.reshape(len(point), -1))
        else:
            steps.require(type(cover) is ActivationCover, "a cover of all neurons is there")
            reach = bounded_reach(units, cover, point, steps)  # type: ignore[arg-type]
        most = float(reach.max())
        steps.require(
            bool((reach <= units.decay).all()),
            "the dual point is feasible: no neuron correlates with it by more than decay, rounding "
            "included",
            f"{most:.17g} for the limit {units.decay:.17g}, in scaled units",
        )


def bounded_reach(
    units: Units, cover: ActivationCover, point: np.ndarray, steps: Steps, room: float = 1.0
) -> np.ndarray:
    """Return the bounds that a cover gives for a dual point, all in the units of the judge."""
    members, values = cover.multipliers.members, cover.multipliers.values
    scaled = ActivationCover(
        cover.kinds, cover.kept, cover.bounded, type(cover.multipliers)(members, units.dual(values))
    )
    return Cones(units.inputs, scaled, steps, room).reach(point)
