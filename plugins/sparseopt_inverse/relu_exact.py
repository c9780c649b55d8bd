"""Exact training of two-layer ReLU networks as a convex program over activation patterns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sparseopt import Accepted, Context, Refused, Solver, Steps, TimeLimitReached
from sparseopt.judging.figures import ROOMS
from sparseopt.training.activation_cover import CASES, ActivationCover, Cones, CoverMultipliers
from sparseopt.training.two_layer_certificate import TwoLayerReLUCertificate
from sparseopt.training.two_layer_network import TwoLayerNetwork
from sparseopt.training.two_layer_relu import TwoLayerReLU
from sparseopt.training.two_layer_units import Units
from sparseopt_inverse.relu_cells import Cells, find_cells, in_row_space
from sparseopt_inverse.relu_conic import Neurons, restricted_optimum
from sparseopt_inverse.relu_evidence import Reach, feasible, reach
from sparseopt_inverse.relu_polish import polished
from sparseopt_inverse.relu_pruning import pruned

ROUNDS = 60
THRESHOLDS = (1e-12, 1e-9, 3e-8)
"""Relative distances at which the sign of an input may follow from others, tried in order."""
PROGRESS = 1e-6
"""Relative decrease of the objective after which cells without neurons leave the program."""
PATIENCE = 4
"""Rounds without a smaller gap after which no digits are to be had."""
CLOSE = 1e-4
"""Relative gap below which the last digits are worth their Newton steps."""
SHARE = 0.9
"""Cases are looked through that may reach this share of the largest reach."""
AIM = 1e-12
"""Relative gap beyond which no digits are to be had."""


@dataclass(frozen=True)
class ReLUConeProgram(Solver[TwoLayerReLU]):
    """Enumerates the activation patterns and solves the convex program by column generation.

    The cone program is solved on the cells of some patterns; its dual solution is projected onto
    the cells of all, and those that it violates most are added until none does. The neurons are
    then merged to at most as many as there are samples.

    Time O(n^d), memory O(n^d), for n samples of d features: as many activation patterns as there
    are.

    Notes
    -----
    For n samples of rank r there are O(n^(r - 1)) cells; to find them takes about 20 us for each
    cell of each leading part of the samples.
    """

    def accepts(self, problem: TwoLayerReLU) -> Accepted | Refused:
        """Refuse gates."""
        if problem.gates is not None:
            return Refused("the problem has gates; gated training is a group lasso without cones")
        return Accepted()

    def solve(
        self, problem: TwoLayerReLU, context: Context
    ) -> tuple[TwoLayerNetwork, TwoLayerReLUCertificate]:
        """Return the network and the bound of its distance to the optimum.

        Where inputs nearly agree some cells are so thin that no engine finds its way through them;
        then the signs that nearly follow from others are kept, and the best answer is returned.
        """
        if (trivial := _without_neurons(problem)) is not None:
            return trivial
        asked = AIM if context.tolerance is None else max(context.tolerance, AIM)
        best: tuple[TwoLayerNetwork, TwoLayerReLUCertificate] | None = None
        cells = 0
        for follows in THRESHOLDS:
            try:
                found = find_cells(problem.units().inputs, context, follows)
                if best is not None and len(found.signs) == cells:
                    break
                cells = len(found.signs)
                made = _answer(problem, found, asked, context)
            except TimeLimitReached:
                if best is None:
                    raise
                break
            if best is None or made[1].accuracy < best[1].accuracy:
                best = made
            if made[1].accuracy <= asked:
                break
        assert best is not None
        return best

    def cost(self, problem: TwoLayerReLU) -> float:
        """Return seconds from runs on Gaussian inputs."""
        n, d = problem.inputs.shape
        return 0.03 + 1.5e-5 * problem.pattern_bound * n / (2 * d) + 1e-4 * n * d

    def bytes_needed(self, problem: TwoLayerReLU) -> float:
        """Predict the patterns, and a cone program."""
        return 2.0**22 + 8.0 * problem.pattern_bound * len(problem.inputs)


def _without_neurons(
    problem: TwoLayerReLU,
) -> tuple[TwoLayerNetwork, TwoLayerReLUCertificate] | None:
    """Return the network without neurons if decay is so large that no tree is needed to see it.

    The targets are then a feasible dual point: with every sign kept at the price of the whole
    input, one cone proves it.
    """
    units = problem.units()
    n, features = units.inputs.shape
    rows = CoverMultipliers(np.zeros((n - 1, 0), dtype=np.int64), np.zeros((n - 1, 0)))
    cover = ActivationCover(np.ones(n - 1, dtype=np.int8), rows)
    reach = Cones(units.inputs, cover, Steps(), ROOMS).reach(units.targets[:, 0])
    if reach.max() > units.decay:
        return None
    nothing = TwoLayerNetwork(np.zeros((features, 0)), np.zeros(0))
    return nothing, TwoLayerReLUCertificate.build(problem, nothing, problem.targets, cover)


def _answer(
    problem: TwoLayerReLU, cells: Cells, asked: float, context: Context
) -> tuple[TwoLayerNetwork, TwoLayerReLUCertificate]:
    """Return the network and its certificate by the cells that were found."""
    units = problem.units()
    targets, decay = units.targets[:, 0], units.decay
    inputs, basis = in_row_space(units.inputs)
    cells = Cells(inputs, cells.cover, cells.signs)
    neurons, best = _generate(cells, targets, decay, 0.1 * asked, context)
    point, cover = feasible(cells, units.inputs, best, targets, decay)
    network = _network(neurons.with_vectors(neurons.vectors @ basis.T), units)
    return network, TwoLayerReLUCertificate.build(
        problem, network, units.original_dual(point), _in_problem_units(cover, units)
    )


def _generate(
    cells: Cells, targets: np.ndarray, decay: float, asked: float, context: Context
) -> tuple[Neurons, Reach]:
    """Return neurons and a dual point whose relative gap is as asked, or as small as it gets."""
    n, d = cells.inputs.shape
    best = reach(cells, targets, context)
    neurons = Neurons.none(d)
    chosen = np.zeros(CASES * len(cells.signs), dtype=bool)
    found, scale, least = best, 1.0, math.inf
    gaps: list[float] = []
    for _ in range(ROUNDS):
        primal = neurons.objective(cells.inputs, targets, decay)
        gaps.append(primal - best.value(targets, decay))
        stalled = len(gaps) > PATIENCE and gaps[-1] > 0.9 * gaps[-1 - PATIENCE]
        if gaps[-1] <= asked * primal or (stalled and gaps[-1] <= CLOSE * primal):
            break
        new = found.violated(decay, chosen, max(n // 2, 30))
        chosen[new] = True
        size = 2.0 ** round(math.log2(math.sqrt(primal)))
        if not len(new) and size > scale / 8:
            break
        scale = min(scale, size)
        blocks = np.flatnonzero(chosen)
        solved, point = restricted_optimum(cells, targets, decay, blocks, scale, context)
        found = reach(cells, point, context, SHARE)
        best = max(best, found, key=lambda each: each.value(targets, decay))
        few = pruned(solved, cells.inputs, targets, decay)
        objective = few.objective(cells.inputs, targets, decay)
        if objective - best.value(targets, decay) <= CLOSE * objective:
            few = polished(few, cells.inputs, targets, decay)
            objective = few.objective(cells.inputs, targets, decay)
            residual = targets - few.features(cells.inputs).sum(axis=1)
            other = reach(cells, residual, context, SHARE)
            best = max(best, other, key=lambda each: each.value(targets, decay))
            if not len(found.violated(decay, chosen, 1)):
                found = other
        if objective < least * (1.0 - PROGRESS):
            # Only a program that got somewhere may forget: so the rounds come to an end.
            chosen[blocks], chosen[few.blocks] = False, True
        if objective < primal:
            neurons, least = few, min(least, objective)
    return neurons, best


def _network(neurons: Neurons, units: Units) -> TwoLayerNetwork:
    """Return the balanced network: hidden and outer weights of equal norm."""
    sizes = np.linalg.norm(neurons.vectors, axis=1)
    roots = np.sqrt(sizes)
    hidden = (neurons.vectors / roots[:, None]).T
    return TwoLayerNetwork(
        units.original_weights(hidden), units.original_weights(neurons.signs * roots)
    )


def _in_problem_units(cover: ActivationCover, units: Units) -> ActivationCover:
    values = units.original_dual(cover.multipliers.values)
    return replace(cover, multipliers=replace(cover.multipliers, values=values))
