"""Replaces linear layers of a torch model by Kronecker-sparse ones, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

import sparseopt as so
from sparseopt_butterfly.compression_report import Compression, LayerCompression
from sparseopt_butterfly.kronecker_linear import KroneckerLinear, target_of
from sparseopt_butterfly.layer_choice import Candidate, allocate, candidates_of, front_of, ranked
from sparseopt_butterfly.layer_timing import call_seconds
from sparseopt_butterfly.model_layers import (
    chosen_layers,
    copied,
    parameter_count,
    put,
    why_left_alone,
)

# Architectures of one layer that are made and measured at most.
_MOST_TRIED = 8


def compress(
    model: nn.Module,
    budget: float | int,
    *,
    layers: Iterable[str] | Callable[[str, nn.Linear], bool] | None = None,
    max_error: float | None = None,
    min_speedup: float | None = 1.0,
    batch: int = 128,
    max_rank: int = 4,
    inplace: bool = False,
    progress: Callable[[float, str], None] | None = None,
    time_limit: float | None = None,
    **options: Any,
) -> Compression:
    """Replace linear layers by `KroneckerLinear` layers with the least proven error in a budget.

    Among the architectures within the budget, the nearest one is taken that is also fast enough
    (of the 8 nearest ones with distinct blocks).

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
        `torch.nn.Linear`.
    max_error : float or None
        Layers whose relative error would be larger are left alone.
    min_speedup : float or None
        Least seconds before over seconds after; layers for which no architecture gives it are
        left alone. None: the speed is measured, but does not decide.
    batch : int
        Number of operands (rows) at which the speed is measured, and for which the new layers
        are prepared, see `KroneckerLinear.merge_for`.
    max_rank : int
        Largest rank in architectures of three and more patterns.
    inplace : bool
        Whether to replace the layers in `model` itself.
    progress : callable(fraction, message) or None
        Called before each layer's search.
    time_limit : float or None
        Seconds; a layer whose turn comes later is left alone.
    options
        For `sparseopt.solve` of each factorization.

    Returns
    -------
    Compression

    Raises
    ------
    ProblemError
        If the budget is not as above, a name is not a linear layer, or all chosen layers together
        cannot keep an integer budget.

    Notes
    -----
    The search decomposes each weight once per pair of divisors of its sizes: on one core about 3 s
    for 1024 x 1024, 25 s for 3072 x 768. Left alone, with the reason, are also layers whose
    weight other code reads or that do more than multiply: subclasses of `torch.nn.Linear`, layers
    with hooks, tied weights. The smaller model is usually trained for a
    while: the nearest factors are a start, not the best ones for the model's task. First and last
    layers often matter most; name the others in `layers` to keep them.

    Examples
    --------
    >>> import torch, sparseopt as so
    >>> model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU())
    >>> report = so.compress(model, 0.25, min_speedup=None)
    >>> report["0"].parameters_after, type(report.model[0]).__name__, type(model[0]).__name__
    (1024, 'KroneckerLinear', 'Linear')
    """
    _require(model, budget, batch, max_error, min_speedup, max_rank)
    context = so.Context(time_limit=time_limit, progress=progress)
    target = model if inplace else copied(model)
    chosen = chosen_layers(target, layers)
    if inplace and "" in chosen:
        raise so.ProblemError("the model is itself the layer; it cannot be replaced in place")
    task = _Task(target, chosen, budget, max_error, min_speedup, batch, max_rank, context, options)
    before = parameter_count(target)
    entries, candidates = _architectures(task)
    made = _made(task, entries, candidates)
    compressed = _with_new_layers(task, made)
    entries |= {name: entry for name, (entry, _) in made.items()}
    after, threads = parameter_count(compressed), torch.get_num_threads()
    return Compression(compressed, tuple(entries.values()), batch, threads, before, after)


@dataclass(frozen=True)
class _Task:
    """What is asked for: the model, those of its layers that were chosen, the limits to keep to.

    The other fields are named as the parameters of `compress`.
    """

    model: nn.Module
    layers: dict[str, nn.Linear]
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


_Made = tuple[LayerCompression, KroneckerLinear | None]


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
            f"positive int (values in all chosen layers together), got {budget!r}"
        )
    for name, value in (("batch", batch), ("max_rank", max_rank)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise so.ProblemError(f"{name} must be a positive integer, got {value!r}")
    for name, limit in (("max_error", max_error), ("min_speedup", min_speedup)):
        if limit is not None and not limit >= 0:
            raise so.ProblemError(f"{name} must not be negative, got {limit!r}")


def _architectures(
    task: _Task,
) -> tuple[dict[str, LayerCompression], dict[str, list[Candidate]]]:
    """Return an entry for each chosen layer, and the architectures of those that may be replaced.

    The entries of the others have the reason.
    """
    entries, found = {}, {}
    for i, (name, linear) in enumerate(task.layers.items()):
        task.context.report(i / len(task.layers), f"looking for architectures of {name}")
        reason = why_left_alone(task.model, name, linear) or task.late
        if not reason:
            candidates = _candidates(linear, task.budget, task.max_rank)
            if candidates:
                found[name] = candidates
            else:
                reason = f"no architecture within the budget of {task.budget} saves anything"
        entries[name] = LayerCompression(name, (linear.out_features, linear.in_features), reason)
    return entries, found


def _candidates(linear: nn.Linear, budget: float | int, max_rank: int) -> list[Candidate]:
    """Return the architectures of a layer that fit the budget and save anything."""
    entries = linear.weight.numel()
    most = int(budget * entries) if isinstance(budget, float) else min(budget, entries - 1)
    return candidates_of(target_of(linear.weight), most, max_rank) if most else []


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
        weight = target_of(task.layers[name].weight)
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
    linear = task.layers[entry.name]
    refused: list[LayerCompression] = []
    for choice in choices[:_MOST_TRIED]:
        new = KroneckerLinear.from_linear(linear, choice.architecture, **task.options)
        error = new.relative_error
        assert error is not None
        one = replace(entry, architecture=choice.architecture, relative_error=error)
        if task.max_error is not None and error > task.max_error:
            reason = f"its relative error would exceed {task.max_error:g}"
            refused.append(replace(one, reason=reason))
            break  # the others are no nearer
        before, after = call_seconds((linear, new.merge_for(task.batch)), task.batch)
        one = replace(one, seconds_before=before, seconds_after=after)
        if task.min_speedup is None or before >= task.min_speedup * after:
            return one, new
        reason = (
            f"it would run {before / after:.3g} times as fast as before at batch {task.batch}; "
            f"{task.min_speedup:g} times is asked for"
        )
        refused.append(replace(one, reason=reason))
    first = refused[0]
    if len(refused) > 1:
        others = f"the next {len(refused) - 1} architectures do not meet the limits either"
        first = replace(first, reason=f"{first.reason}; {others}")
    return first, None


def _with_new_layers(task: _Task, made: dict[str, _Made]) -> nn.Module:
    """Return the model with the new layers in the places of the old ones."""
    model = task.model
    for name, (_, new) in made.items():
        if new is not None:
            model = put(model, task.layers[name], new)
    return model
