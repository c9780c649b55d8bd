"""`prune`: in one round or in several, of networks and of modules in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt.choosing import offers
from sparseopt.guarantees.output_change import OutputChange
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.networks.network import Network
from sparseopt.tools.change_ends import box_of, change_ends, require_moderate
from sparseopt.tools.pruning.chosen import Choice
from sparseopt.tools.pruning.criteria import CriterionLike
from sparseopt.tools.pruning.one_shot import Task, masked
from sparseopt.tools.pruning.patterns import pattern_of
from sparseopt.tools.pruning.results import Pruning, place, tensor_of
from sparseopt.tools.pruning.schedule import ratios
from sparseopt.tools.quantizing.bounds import as_inputs, example_from
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.in_place import PRODUCES, changes_in_place
from sparseopt.tools.tensor_order import of_tensor


def prune(
    subject: Any,
    ratio: float | None = None,
    criterion: CriterionLike = "path_cost",
    *,
    scope: str = "global",
    granularity: str = "weight",
    layers: Choice = None,
    exclude: Choice = None,
    schedule: int | Sequence[float] | None = None,
    train: Callable[[Any], Any] | None = None,
    closed: bool = False,
    seed: int = 0,
    example: Any = None,
    inputs: Any = None,
    progress: Progress | None = None,
) -> Pruning:
    """Set the least important weights to zero.

    Parameters
    ----------
    subject : Network, torch.nn.Module, or anything that `load_network` takes
        A module gets masks by ``torch.nn.utils.prune``, on top of those that it has; anything
        else is left as it is.
    ratio : float, default 0.5
        Share of the weights that are zero afterwards, in [0, 1]; zeros of before count. With
        granularity "channel" share of the groups of units that go. A pattern N:M has its own.
    criterion : {"path_cost", "magnitude", "canonical_magnitude", "random"}, str or callable
        Path cost (arXiv 2405.15006), and magnitude in the canonical form of `canonicalize`, do
        not depend on the scale of hidden units; plain magnitude does. Or the name of a plugin's
        criterion (`sparseopt.CriterionEntry`); or a function of the `Network` that returns scores,
        the lowest go first, by parameter: ``{"node.weight": array}``.
    scope : {"global", "layer"}
        The ratio holds over all weights together, or in each tensor (of "channel": in each layer).
    granularity : str
        "weight"; "channel": whole units (neurons, channels) with all that they are coupled to by
        sums, normalizations, reshapings or groups of convolutions, their score being the sum over
        the weights into and out of them; or "N:M", such as "2:4": N of each M weights from
        consecutive inputs into a unit are kept, and layers with other numbers of inputs are left
        alone.
    layers, exclude : str, iterable of str, or function of name and layer; or None
        Which layers are pruned, by the names of nodes, tensors or modules, where ``*`` fits
        anything. Of granularity "channel": whose units may go; what they led to loses weights,
        too. The default is all layers.
    schedule : int, sequence of float, or None
        Prune in so many rounds, ever more slowly, or to these rising shares; weights are scored
        anew in each. What is gone stays gone.
    train : callable or None
        Called between the rounds, with the module, or with the network, of which it may return
        another one with new values.
    closed : bool
        Remove further weights until `Closedness` proves the supports of every two consecutive
        linear layers closed; the ratio is exceeded then.
    seed : int
        For "random".
    example : array or tensor, optional
        An input, for subjects that do not fix their input shape; the default is one of `inputs`.
    inputs : array or tensor, shape (n, *input), optional
        Data. The result then says how far the output moves, training between rounds included, for
        all inputs between their least and their largest entry: a proved upper bound, and an input
        at which it moves. See `OutputChange` and `largest_change`.
    progress : callable(fraction, message) or None
        Called as weights are scored and removed, and at the end.

    Returns
    -------
    Pruning

    Raises
    ------
    ProblemError
        For a ratio outside [0, 1], an unknown criterion, scope, granularity or layer, a network
        without weights; for the path cost if a path meets a tensor twice.

    Notes
    -----
    Weights of dense and convolutional layers are pruned, biases and batch normalizations are not.
    Under granularity "channel" every layer keeps a unit; `remove_dead` then makes the network
    smaller. A tensor that several layers share is one tensor: its scores add up, its mask is one.
    Ties are broken by position, so the masks are reproducible.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[3.0], [1.0]])), Relu(), Dense(np.array([[1.0, -2.0]])))
    >>> pruned = so.prune(net, 0.5)  # |3 * 1| is more than |1 * -2|
    >>> pruned.masks["2:Dense.weight"]
    array([[ True, False]])
    >>> print(pruned)
    path_cost, global: 50.0% of the weights kept
      0:Dense.weight: 1/2 kept (50.0%)
      2:Dense.weight: 1/2 kept (50.0%)
    """
    in_place = changes_in_place(subject)
    example = example_from(subject, inputs, example)
    before, batch = _data(subject, example, inputs)
    task = Task(criterion, scope, granularity, layers, exclude, closed, seed, in_place)
    share = _ratio(ratio, granularity)
    steps = ratios(schedule, share)
    if pattern_of(granularity) is not None and schedule is not None:
        raise ProblemError(f"a schedule is of shares; the pattern {granularity} has one only")
    if train is not None and len(steps) == 1:
        raise ProblemError("train is called between rounds of pruning; give a schedule")
    result: Pruning | None = None
    context = Context(progress=progress)
    for i, step in enumerate(steps):
        start, stop = i / len(steps), (i + 1) / len(steps)
        context.report(start, f"round {i + 1} of {len(steps)}")
        current = subject if in_place or result is None else result.network
        if result is not None and train is not None:
            current = _trained(train, current, result)
        loading, rest = (
            context.part(start, start + 0.3 * (stop - start)),
            context.part(start + 0.3 * (stop - start), stop),
        )
        last = task.pruned(load_network(current, example, progress=loading), step, rest)
        result = last if result is None else _joined(result, last)
        if in_place:
            _mask(subject, result)
    assert result is not None
    context.report(1.0, "pruned")
    if before is None or batch is None:
        return replace(result, ratio=share)
    return replace(result, ratio=share, ends=change_ends(before, result.network, batch, seed=seed))


def _data(subject: Any, example: Any, inputs: Any) -> tuple[Network | None, np.ndarray | None]:
    """Return the network as it is now and the data; refuse, before any work, what has no bound."""
    if inputs is None:
        return None, None
    network = load_network(subject, example)
    # Those of a module may change with it.
    arrays = {name: array.copy() for name, array in network.parameters().items()}
    network = network.with_parameters(arrays)
    batch = as_inputs(inputs, network)
    assert batch is not None
    OutputChange(network, network, *box_of(batch))
    require_moderate(network)
    return network, batch


def _ratio(ratio: float | None, granularity: str) -> float:
    """Return the share that is to go."""
    pattern = pattern_of(granularity) if isinstance(granularity, str) else None
    if pattern is not None:
        own = 1 - pattern[0] / pattern[1]
        if ratio is not None and ratio != own:
            raise ProblemError(
                f"the pattern {granularity} has the ratio {own:g}, not {short(ratio)}; leave it out"
            )
        return own
    if ratio is None:
        return 0.5
    if not (isinstance(ratio, int | float | np.number) and 0 <= ratio <= 1):
        percent = isinstance(ratio, int | float | np.number) and ratio in range(2, 100)
        hint = f"; for {ratio:g} % give {ratio / 100:g}" if percent else ""
        raise ProblemError(f"ratio must lie in [0, 1], got {short(ratio)}{hint}")
    return float(ratio)


def _trained(train: Callable[[Any], Any], current: Any, result: Pruning) -> Any:
    """Return the subject after training; zeros of a network are put back."""
    found = train(current)
    if not isinstance(current, Network) or found is None:
        return current
    if not isinstance(found, Network):
        raise ProblemError(f"train must return a network, or None, got a {type(found).__name__}")
    missing = [name for name in result.masks if name not in found.parameters()]
    if missing:
        raise ProblemError(f"train returned a network without the parameter {missing[0]!r}")
    return masked(found, result.masks)


def _joined(before: Pruning, after: Pruning) -> Pruning:
    """Return a round with what was gone before it."""
    masks = {name: mask & before.masks[name] for name, mask in after.masks.items()}
    tensors = tuple(
        t if t.reason else replace(t, kept=int(masks[t.name].sum())) for t in after.tensors
    )
    removed = tuple(dict.fromkeys((*before.removed, *after.removed)))
    network = masked(after.network, masks)
    return replace(after, network=network, masks=masks, tensors=tensors, removed=removed)


def _mask(subject: Any, result: Pruning) -> None:
    """Give a module the masks, all of them, by ``torch.nn.utils.prune``."""
    tensors = {}
    for name, mask in result.masks.items():
        tensors[tensor_of(result.network, name)] = of_tensor(*place(result.network, name), mask)
    offers.reader_of(subject, PRODUCES).mask(subject, tensors)
