"""Replaces linear layers of a torch model by Kronecker-sparse ones, within a budget."""

from __future__ import annotations

import copy
import math
import time
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

_TRIES, _SECONDS_A_TRY = 7, 0.004
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
    (of the 8 nearest ones with different blocks).

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
        If the budget is not as above, a name is no linear layer, or all chosen layers together
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
    target = model if inplace else _copied(model)
    names = _choose(target, layers)
    if inplace and "" in names:
        raise so.ProblemError("the model is itself the layer; it cannot be replaced in place")
    before = _count(target)
    found: dict[str, LayerCompression] = {}
    options_of: dict[str, list[Candidate]] = {}
    for i, (name, linear) in enumerate(names.items()):
        context.report(i / len(names), f"looking for architectures of {name}")
        reason = _unfit(target, name, linear) or _late(context)
        candidates = [] if reason else _candidates(linear, budget, max_rank)
        if candidates:
            options_of[name] = candidates
        else:
            reason = reason or f"no architecture within the budget of {budget} saves anything"
        shape = linear.out_features, linear.in_features
        found[name] = LayerCompression(name, shape, reason)
    limits = _Limits(max_error, min_speedup, batch)
    while options_of:
        made: dict[str, tuple[KroneckerLinear | None, LayerCompression]] = {}
        for name, size in _distribute(options_of, names, budget).items():
            made[name] = None, replace(found[name], reason=_late(context))
            if made[name][1].replaced:
                choices = ranked(options_of[name], size)
                made[name] = _replacement(found[name], names[name], choices, limits, options)
        fits = [name for name, (_, entry) in made.items() if entry.replaced]
        # What a layer that is left alone had of a common budget goes to the others.
        again = isinstance(budget, int) and 0 < len(fits) < len(made)
        for name, (new, entry) in made.items():
            if not (again and entry.replaced):
                found[name] = entry
            if not again and new is not None and entry.replaced:
                target = _put(target, names[name], new)
        options_of = {name: options_of[name] for name in fits} if again else {}
    return Compression(
        target, tuple(found.values()), batch, torch.get_num_threads(), before, _count(target)
    )


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


def _copied(model: nn.Module) -> nn.Module:
    """Return a copy of the model."""
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:  # weights that are computed, as by torch.nn.utils.prune
        raise so.ProblemError(
            f"the model cannot be copied ({error}); make pruned or normed weights permanent "
            "(torch.nn.utils.prune.remove), or pass inplace=True"
        ) from error


def _choose(
    model: nn.Module, layers: Iterable[str] | Callable[[str, nn.Linear], bool] | None
) -> dict[str, nn.Linear]:
    """Return the chosen linear layers by name, shared ones once."""
    every = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    if layers is None:
        return every
    if callable(layers):
        return {name: linear for name, linear in every.items() if layers(name, linear)}
    if isinstance(layers, str):
        raise so.ProblemError(f"layers must be a list of names, got the string {layers!r}")
    wanted = list(layers)
    unknown = [name for name in wanted if name not in every]
    if unknown:
        raise so.UnknownNameError("linear layer", unknown[0], every)
    return {name: linear for name, linear in every.items() if name in wanted}


def _unfit(model: nn.Module, name: str, linear: nn.Linear) -> str:
    """Return why a layer cannot be replaced by one that does the same; empty if it can."""
    if nn.parameter.is_lazy(linear.weight):
        return "it is lazy and has no weight yet; call the model once first"
    if type(linear) is not nn.Linear:
        return f"it is a {type(linear).__name__}, whose weight other code may read"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(linear, kind) for kind in hooks):
        return "it has hooks (of pruning, for example); make them permanent or remove them first"
    owners = {
        id(module)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
        if parameter is linear.weight or parameter is linear.bias
    }
    if len(owners) > 1:
        return "its weight or bias is tied to that of another layer"
    if linear.weight.device.type == "meta":
        return "its weight is on the meta device and has no values"
    parent = model.get_submodule(name.rpartition(".")[0]) if name else None
    if isinstance(parent, nn.TransformerEncoderLayer) and torch.backends.mha.get_fastpath_enabled():
        return (
            "TransformerEncoderLayer reads its weight on its fast path; call "
            "torch.backends.mha.set_fastpath_enabled(False) first, and before using the model"
        )
    if linear.weight.numel() == 0:
        return "its weight is empty"
    if not bool(torch.isfinite(linear.weight.detach()).all()):
        return "its weight has a NaN or an infinity"
    if not bool(linear.weight.detach().any()):
        return "its weight is zero"
    return ""


def _late(context: so.Context) -> str:
    """Return the reason that the time is over, empty while it is not."""
    return "" if context.remaining() > 0 else "the time limit was reached before its turn"


def _candidates(linear: nn.Linear, budget: float | int, max_rank: int) -> list[Candidate]:
    """Return the architectures of a layer that fit the budget and save anything."""
    entries = linear.weight.numel()
    most = int(budget * entries) if isinstance(budget, float) else min(budget, entries - 1)
    return candidates_of(target_of(linear.weight), most, max_rank) if most else []


def _distribute(
    options_of: dict[str, list[Candidate]], names: dict[str, nn.Linear], budget: float | int
) -> dict[str, int]:
    """Return the number of parameters that each layer may have."""
    if isinstance(budget, float):
        return {name: candidates[-1].nnz for name, candidates in options_of.items()}
    costs = []
    for name, candidates in options_of.items():
        weight = target_of(names[name].weight)
        peak = float(np.abs(weight).max())  # squares of scaled entries do not overflow
        norm = peak * float(np.linalg.norm(weight / peak))
        costs.append([(c.nnz, (c.error / norm) ** 2) for c in front_of(candidates)])
    chosen = allocate(costs, budget)
    if chosen is None:
        least = sum(cost[0][0] for cost in costs)
        raise so.ProblemError(
            f"the {len(costs)} chosen layers need at least {least} values together, the budget is "
            f"{budget}; raise it, or choose fewer layers"
        )
    return {name: cost[i][0] for name, cost, i in zip(options_of, costs, chosen, strict=True)}


@dataclass(frozen=True)
class _Limits:
    """What a new layer must keep to."""

    max_error: float | None
    min_speedup: float | None
    batch: int


def _replacement(
    entry: LayerCompression,
    linear: nn.Linear,
    choices: list[Candidate],
    limits: _Limits,
    options: dict[str, Any],
) -> tuple[KroneckerLinear, LayerCompression]:
    """Return the new layer, and the entry with its figures or with the reason against it.

    The nearest architecture is taken that is fast enough, of the nearest few; if none is, the
    entry has the figures of the nearest one.
    """
    refused: list[LayerCompression] = []
    for choice in choices[:_MOST_TRIED]:
        new = KroneckerLinear.from_linear(linear, choice.architecture, **options)
        error = new.relative_error
        assert error is not None
        one = replace(entry, architecture=choice.architecture, relative_error=error)
        if limits.max_error is not None and error > limits.max_error:
            reason = f"its relative error would exceed {limits.max_error:g}"
            refused.append(replace(one, reason=reason))
            break  # the others are no nearer
        before, after = _seconds((linear, new.merge_for(limits.batch)), limits.batch)
        one = replace(one, seconds_before=before, seconds_after=after)
        if limits.min_speedup is None or before >= limits.min_speedup * after:
            return new, one
        reason = (
            f"it would run {before / after:.3g} times as fast as before at batch {limits.batch}; "
            f"{limits.min_speedup:g} times is asked for"
        )
        refused.append(replace(one, reason=reason))
    first = refused[0]
    if len(refused) > 1:
        others = f"the next {len(refused) - 1} architectures do not meet the limits either"
        first = replace(first, reason=f"{first.reason}; {others}")
    return new, first


def _seconds(layers: tuple[nn.Module, nn.Module], batch: int) -> list[float]:
    """Return the least time of one call of each layer, over alternated tries."""
    weight = next(layers[0].parameters())
    generator = torch.Generator(weight.device).manual_seed(0)
    width = weight.shape[1]
    x = torch.rand(batch, width, device=weight.device, generator=generator).to(weight.dtype)
    best = [math.inf] * len(layers)
    calls = [1] * len(layers)
    with torch.no_grad():
        for k in range(-2, _TRIES):  # two rounds to warm up and to find the numbers of calls
            for i, layer in enumerate(layers):
                _wait(x)
                start = time.perf_counter()
                for _ in range(calls[i]):
                    layer(x)
                _wait(x)
                seconds = (time.perf_counter() - start) / calls[i]
                if k < 0:
                    calls[i] = max(1, min(1000, round(_SECONDS_A_TRY / seconds)))
                else:
                    best[i] = min(best[i], seconds)
    return best


def _wait(x: torch.Tensor) -> None:
    """Wait for the device, whose calls return early."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)


def _put(model: nn.Module, old: nn.Linear, new: KroneckerLinear) -> nn.Module:
    """Replace a layer wherever the model holds it."""
    if model is old:
        return new
    for module in model.modules():
        names = [name for name, child in module._modules.items() if child is old]
        for name in names:
            setattr(module, name, new)
    return model


def _count(model: nn.Module) -> int:
    """Return the number of parameters, without those of lazy layers, which are not there yet."""
    held = (p for p in model.parameters() if not nn.parameter.is_lazy(p))
    return sum(parameter.numel() for parameter in held)
