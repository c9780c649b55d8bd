"""Replaces layers of a torch model by Kronecker-sparse ones, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

import sparseopt as so
from sparseopt.interface.arrays import as_count
from sparseopt.interface.printing import short
from sparseopt_butterfly.compression_change import Before
from sparseopt_butterfly.compression_report import Compression, LayerCompression
from sparseopt_butterfly.kronecker_layer import KroneckerLayer, target_of
from sparseopt_butterfly.layer_choice import Candidate, allocate, candidates_of, front_of, ranked
from sparseopt_butterfly.model_layers import (
    Choice,
    Matrix,
    chosen_layers,
    copied,
    matrix_of,
    parameter_count,
    projected,
    put,
    shape_of,
    why_left_alone,
)

# Architectures of one layer that are made and measured at most.
_MOST_TRIED = 8


def compress(
    model: nn.Module,
    budget: float | int,
    *,
    layers: Choice = None,
    max_error: float | None = None,
    accuracy: Callable[[nn.Module], float] | None = None,
    min_accuracy: float | None = None,
    min_speedup: float | None = 1.0,
    batch: int = 128,
    max_rank: int = 4,
    inplace: bool = False,
    progress: Callable[[float, str], None] | None = None,
    time_limit: float | None = None,
    inputs: Any = None,
    **options: Any,
) -> Compression:
    """Replace layers by Kronecker-sparse ones with the least proven error in a budget.

    Linear layers become `KroneckerLinear`, convolutions in two dimensions `KroneckerConv2d`.
    Proven errors choose the architectures; the errors that are reported are those of the new
    weights in their own dtype, as computed in double precision.

    Among the architectures within the budget, the nearest one is taken that is also predicted to
    be fast enough (of the 8 nearest ones with distinct blocks). No clock decides: the same model
    is compressed in the same way everywhere.

    Parameters
    ----------
    model : torch.nn.Module
        Copied, unless `inplace`; its own layers are then left as they are.
    budget : float or int
        A float between 0 and 1: of each chosen layer's weight, the share that its factors may
        have. An integer: the values that the factors of all replaced layers may have together;
        they are distributed so that the sum of the squared relative errors becomes least, again
        without each layer that is left alone.
    layers : iterable of str, or function of name and layer, or None
        Which ones to replace, by their names in ``model.named_modules()``; None: every
        `torch.nn.Linear` and `torch.nn.Conv2d`.
    max_error : float or None
        Layers whose relative error would be larger are left alone. None: any error is taken, with
        a warning where it is 0.1 or more.
    accuracy : callable(model) or None
        Measures a model, the higher the better, with all layers in place that it has by then: it is
        called before any layer is replaced, and after each, nearest first.
    min_accuracy : float or None
        The layer with which `accuracy` falls below this, and all that come after it, are left
        alone.
    min_speedup : float or None
        Least predicted time before over predicted time after, without gradients, on one thread of a
        CPU, or on the CUDA device where the layer lies; layers for which no architecture gives it
        are left alone. None: the speed does not decide.
    batch : int
        Number of operands (rows; of convolutions, cells of the result) for which the speed is
        predicted and the new layers are prepared, see `KroneckerLinear.merge_for`.
    max_rank : int
        Largest rank in architectures of three and more patterns.
    inplace : bool
        Whether to replace the layers in `model` itself.
    progress : callable(fraction, message) or None
        Called before each layer's search.
    time_limit : float or None
        Seconds; a layer whose turn comes later is left alone.
    inputs : tensor or array, shape (n, *input), optional
        Data. The result then says how far the output moves for all inputs between their least and
        their largest entry: a proved upper bound, and an input at which it moves. For models that
        `load_network` reads. See `OutputChange` and `largest_change`.
    options
        For `sparseopt.solve` of each factorization.

    Returns
    -------
    Compression

    Raises
    ------
    ProblemError
        If the budget is not as above, a name is none of such a layer, all chosen layers together
        cannot keep an integer budget, or the model is below `min_accuracy` to begin with.

    Notes
    -----
    The search decomposes each weight once per pair of divisors of its sizes: on one core about 3 s
    for 1024 x 1024, 25 s for 3072 x 768. Left alone, with the reason, are also layers whose
    weight other code reads or that do more than multiply: subclasses, layers with hooks, tied
    weights, convolutions in groups. The smaller model is usually trained for a
    while: the nearest factors are a start, not the best ones for the model's task. First and last
    layers often matter most; name the others in `layers` to keep them.

    Examples
    --------
    >>> import torch, sparseopt as so
    >>> model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU())
    >>> report = so.compress(model, 0.25, max_error=1.0, min_speedup=None)
    >>> report["0"].parameters_after, type(report.model[0]).__name__, type(model[0]).__name__
    (1024, 'KroneckerLinear', 'Linear')
    """
    _require(model, budget, batch, max_error, min_speedup, max_rank)
    if (accuracy is None) != (min_accuracy is None):
        raise so.ProblemError("give both accuracy, which measures, and min_accuracy, the limit")
    context = so.Context(time_limit=time_limit, progress=progress)
    before_it = None if inputs is None else Before.of(model, inputs)
    target = model if inplace else copied(model)
    chosen = chosen_layers(target, layers)
    if inplace and "" in chosen:
        raise so.ProblemError("the model is itself the layer; it cannot be replaced in place")
    task = _Task(target, chosen, budget, max_error, min_speedup, batch, max_rank, context, options)
    before = parameter_count(target)
    entries, candidates = _architectures(task)
    made = _made(task, entries, candidates)
    limit = None if accuracy is None else _Limit(accuracy, min_accuracy)
    compressed, placed = _with_new_layers(task, made, limit)
    entries |= placed
    report = Compression(
        compressed, tuple(entries.values()), batch, before, parameter_count(compressed)
    )
    if before_it is not None:
        report = replace(report, ends=before_it.ends(compressed))
    if max_error is None and limit is None:
        report.warn_of_errors()
    return report


@dataclass(frozen=True)
class _Task:
    """What is asked for: the model, those of its layers that were chosen, the limits to keep to.

    The other fields are named as the parameters of `compress`.
    """

    model: nn.Module
    layers: dict[str, Matrix]
    budget: float | int
    max_error: float | None
    min_speedup: float | None
    batch: int
    max_rank: int
    context: so.Context
    options: dict[str, Any]

    @property
    def late(self) -> str:
        """The reason that the time is over, empty while it is not."""
        return "" if self.context.remaining() > 0 else "the time limit was reached before its turn"


@dataclass(frozen=True)
class _Limit:
    """An accuracy below which nothing more is replaced."""

    measure: Callable[[nn.Module], float]
    least: float | None

    def allows(self, model: nn.Module) -> tuple[bool, float]:
        """Return whether a model is good enough, and how good it is."""
        found = float(self.measure(model))
        return self.least is None or found >= self.least, found


_Made = tuple[LayerCompression, KroneckerLayer | None]


def _require(
    model: Any,
    budget: Any,
    batch: Any,
    max_error: float | None,
    min_speedup: float | None,
    max_rank: Any,
) -> None:
    """Refuse bad arguments."""
    if not isinstance(model, nn.Module):
        raise so.ProblemError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    share = isinstance(budget, float) and 0.0 < budget < 1.0
    count = isinstance(budget, int) and not isinstance(budget, bool) and budget >= 1
    if not share and not count:
        raise so.ProblemError(
            "budget must be a float between 0 and 1 (the share of each weight that is kept) or a "
            f"positive int (values in all chosen layers together), got {short(budget)}"
        )
    for name, value in (("batch", batch), ("max_rank", max_rank)):
        as_count(value, name)
    for name, limit in (("max_error", max_error), ("min_speedup", min_speedup)):
        if limit is not None and not limit >= 0:
            raise so.ProblemError(f"{name} must not be negative, got {short(limit)}")


def _architectures(
    task: _Task,
) -> tuple[dict[str, LayerCompression], dict[str, list[Candidate]]]:
    """Return an entry for each chosen layer, and the architectures of those that may be replaced.

    The entries of the others have the reason.
    """
    entries, found = {}, {}
    for i, (name, layer) in enumerate(task.layers.items()):
        task.context.report(i / len(task.layers), f"looking for architectures of {name}")
        reason = why_left_alone(task.model, name, layer) or task.late
        if not reason:
            candidates = _candidates(layer, task.budget, task.max_rank)
            if candidates:
                found[name] = candidates
            else:
                reason = f"no architecture within the budget of {task.budget} saves anything"
        entries[name] = LayerCompression(name, shape_of(layer), reason)
    return entries, found


def _candidates(layer: Matrix, budget: float | int, max_rank: int) -> list[Candidate]:
    """Return the architectures of a layer that fit the budget and save anything."""
    entries = layer.weight.numel()
    most = int(budget * entries) if isinstance(budget, float) else min(budget, entries - 1)
    return candidates_of(target_of(matrix_of(layer)), most, max_rank) if most else []


def _made(
    task: _Task, entries: dict[str, LayerCompression], candidates: dict[str, list[Candidate]]
) -> dict[str, _Made]:
    """Return the new layers with their figures, and the reasons where there is none.

    What a layer that is left alone had of a common budget goes to the others: they are made again.
    """
    made: dict[str, _Made] = {}
    while candidates:
        tried: dict[str, _Made] = {}
        for name, size in _distribute(task, candidates).items():
            if task.late:
                tried[name] = replace(entries[name], reason=task.late), None
            else:
                choices = ranked(candidates[name], size)
                tried[name] = _replacement(task, entries[name], choices)
        fits = {name for name, (_, new) in tried.items() if new is not None}
        again = isinstance(task.budget, int) and 0 < len(fits) < len(tried)
        made |= {name: one for name, one in tried.items() if not (again and name in fits)}
        candidates = {name: candidates[name] for name in tried if again and name in fits}
    return made


def _distribute(task: _Task, found: dict[str, list[Candidate]]) -> dict[str, int]:
    """Return the number of parameters that each layer may have."""
    if isinstance(task.budget, float):
        return {name: candidates[-1].nnz for name, candidates in found.items()}
    costs = []
    for name, candidates in found.items():
        weight = target_of(matrix_of(task.layers[name]))
        peak = float(np.abs(weight).max())  # squares of scaled entries do not overflow
        norm = peak * float(np.linalg.norm(weight / peak))
        costs.append([(c.nnz, (c.error / norm) ** 2) for c in front_of(candidates)])
    chosen = allocate(costs, task.budget)
    if chosen is None:
        least = sum(cost[0][0] for cost in costs)
        raise so.ProblemError(
            f"the {len(costs)} chosen layers need at least {least} values together, the budget is "
            f"{task.budget}; raise it, or choose fewer layers"
        )
    return {name: cost[i][0] for name, cost, i in zip(found, costs, chosen, strict=True)}


def _replacement(task: _Task, entry: LayerCompression, choices: list[Candidate]) -> _Made:
    """Return the entry with its figures and the new layer, or with the reason against it and None.

    The nearest architecture is taken that is fast enough, of the nearest few; if none is, the
    entry has the figures of the nearest one.
    """
    layer = task.layers[entry.name]
    refused: list[LayerCompression] = []
    for choice in choices[:_MOST_TRIED]:
        new = projected(layer, choice.architecture, task.options)
        error = new.relative_error
        assert error is not None
        one = replace(entry, architecture=choice.architecture, relative_error=error)
        if task.max_error is not None and error > task.max_error:
            reason = f"its relative error would exceed {task.max_error:g}"
            refused.append(replace(one, reason=reason))
            break  # the others are no nearer
        plan, before = new.merge_for(task.batch).predicted(task.batch)
        after = plan.microseconds
        one = replace(one, microseconds_before=before, microseconds_after=after)
        if task.min_speedup is None or before >= task.min_speedup * after:
            return one, new
        reason = (
            f"it is predicted to run {before / after:.3g} times as fast as before at batch "
            f"{task.batch}; "
            f"{task.min_speedup:g} times is asked for"
        )
        refused.append(replace(one, reason=reason))
    first = refused[0]
    if len(refused) > 1:
        others = f"the next {len(refused) - 1} architectures do not meet the limits either"
        first = replace(first, reason=f"{first.reason}; {others}")
    return first, None


def _with_new_layers(
    task: _Task, made: dict[str, _Made], limit: _Limit | None
) -> tuple[nn.Module, dict[str, LayerCompression]]:
    """Return the model with the new layers in the places of the old ones, and all entries.

    The nearest layers come first. With a limit of accuracy, the layer that breaks it is taken back
    and no other one comes.
    """
    model = task.model
    entries = {name: entry for name, (entry, _) in made.items()}
    if limit is not None and made:
        good, found = limit.allows(model)
        if not good:
            raise so.ProblemError(
                f"the accuracy of the given model is {found:g}, below min_accuracy {limit.least:g}"
            )
    new = {name: layer for name, (_, layer) in made.items() if layer is not None}
    reason = ""
    for name in sorted(new, key=lambda name: new[name].relative_error or 0.0):
        if not reason:
            changed = put(model, task.layers[name], new[name])
            good, found = (True, 0.0) if limit is None else limit.allows(changed)
            if good:
                model = changed
                continue
            model = put(changed, new[name], task.layers[name])
            reason = f"with {name!r} replaced the accuracy is {found:g}, below the limit"
        entries[name] = replace(entries[name], reason=reason)
    return model, entries
