"""Data without an optimum: targets that need every hidden unit, two of them opposite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.training.opposite_targets import OppositeTargetsCertificate
from sparseopt.training.sparse_training import SparseTraining, TrainingVerdict, first_shared
from sparseopt_closedness.target_windows import Layer, TargetWindow, find_window
from sparseopt_closedness.unit_paths import Paths, disjoint_paths


@dataclass(frozen=True)
class OppositeTargets(so.Solver[SparseTraining]):
    """Two units u and v that share an output i and an input j, and all others that may act matched.

    With h_u = e_j + t e_a, h_v = e_j + t e_b and the weights 1/t and -1/t from u and v to i, output
    i tends to x_a - x_b. An output c of u or v has the target x_j, and each other unit that may act
    its own output and its own input. The targets then have the rank of all these units, and those
    at e_a and e_b are opposite. If both read a, h_v = e_j - t e_a does as well, with the samples
    e_a and -e_a. For output biases the sample 0 is added, for both kinds so many others where all
    units are off that they span the space.

    In networks with several hidden layers the inputs of the last but one are reached along disjoint
    paths.

    Time O(m n r), memory O(m r + r n), for m x r and r x n supports, where one of the first windows
    will do.

    Parameters
    ----------
    effort : int
        Outputs and inputs, in all, that are looked at before the search is given up.
    """

    effort: int = 1_000_000

    def accepts(self, problem: SparseTraining) -> so.Accepted | so.Refused:
        """Take networks with a hidden layer whose optimum is in doubt."""
        if len(problem.supports) < 2:
            return so.Refused("the network has no hidden layer")
        if problem.hidden_biases and problem.output_biases and len(problem.supports) > 2:
            return so.Refused("with hidden and output biases there may be one hidden layer only")
        if first_shared(problem) is None:
            return so.Refused("an optimum exists for every data set")
        return so.Accepted()

    def cost(self, problem: SparseTraining) -> float:
        """Predict the search of one window."""
        cells = sum(support.size for support in problem.supports)
        return 5e-3 + 1e-6 * cells

    def bytes_needed(self, problem: SparseTraining) -> float:
        """Predict copies of the supports, and tables of windows."""
        return 2.0**20 + 64.0 * sum(support.size for support in problem.supports)

    def solve(
        self, problem: SparseTraining, context: so.Context
    ) -> tuple[TrainingVerdict, OppositeTargetsCertificate]:
        """Search whole components first, then windows of few outputs and inputs."""
        paths = disjoint_paths(list(problem.supports[2:]), problem.supports[-1].shape[1])
        layer = _layer(problem, paths)
        found = find_window(
            layer, context.rng(), self.effort, lambda: context.check_time("searching for data")
        )
        if found is None:
            raise so.Inconclusive("no data set was found that needs every hidden unit")
        certificate = _certificate(problem, found, paths)
        return certificate.answer, certificate


def _layer(problem: SparseTraining, paths: Paths) -> Layer:
    """Return the two last layers, with the ends of paths as inputs."""
    first, second, *deeper = problem.supports
    ends, starts = list(paths.ends), [path[0] for path in paths.places]
    reach = second.astype(np.float32)
    for support in deeper:
        reach = (reach @ support > 0).astype(np.float32)
    touched = reach[:, starts] > 0
    if problem.hidden_biases:
        touched = np.ones_like(touched)
    return Layer(first, second[:, ends], touched, mirrors=not deeper)


def _certificate(
    problem: SparseTraining, window: TargetWindow, paths: Paths
) -> OppositeTargetsCertificate:
    u, v, i, c, j, a, b, triples = window
    ends, mirrored = paths.ends, a == b
    outer: list[list[object]] = [[i, u, {-1: 1}], [i, v, {-1: -1}]]
    outer.append([c, u if problem.supports[0][c, u] else v, {0: 1}])
    inner: list[list[object]] = [[u, ends[j], {0: 1}], [u, ends[a], {1: 1}]]
    inner += [[v, ends[j], {0: 1}], [v, ends[b], {1: -1 if mirrored else 1}]]
    samples = [({j: 1}, c, 1), ({a: 1}, i, 1), ({a: -1} if mirrored else {b: 1}, i, -1)]
    for out, unit, entry in triples:
        outer.append([out, unit, {0: 1}])
        inner.append([unit, ends[entry], {0: 1}])
        samples.append(({entry: 1}, out, 1))
    entries = sorted({entry for x, _, _ in samples for entry in x})
    weights = [outer, inner, *paths.weights([paths.places[entry] for entry in entries])]
    points = [x for x, _, _ in samples]
    targets = [[[out, value]] for _, out, value in samples]
    if problem.output_biases:
        points.append({})
    if problem.output_biases and problem.hidden_biases:
        points += [{a: 1, j: -1} if mirrored and q == a else {q: -1} for q in entries]
    targets += [[]] * (len(points) - len(targets))
    inputs = [[[paths.places[q][0], value] for q, value in x.items()] for x in points]
    return OppositeTargetsCertificate.proved(problem, weights, inputs, targets, (1, 2))
