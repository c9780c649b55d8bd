"""Laws of a pruning criterion."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from sparseopt.choosing import offers
from sparseopt.choosing.manifest import CriterionEntry
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.pathnorm.path_cost import weight_names
from sparseopt.testing import laws
from sparseopt.testing.awkward_networks import awkward_networks
from sparseopt.testing.outcome import Conformance, listed, require
from sparseopt.tools.pruning.criteria import CRITERIA, checked, lowest
from sparseopt.tools.rescaling.factors import random_factors, rescaled
from sparseopt.tools.rescaling.groups import RescalingGroups

Function = Callable[[Network], Any]

_RATIOS = (0.1, 0.25, 0.5, 0.7, 0.9)
_FACTORS = ((1.0, 2.0**-20, 4096.0), (1.0, 0.3, 1e3, 1e-5))
_ROUNDING = 1e-9
"""Relative distance of scores that counts as a tie."""


def check_criterion(
    criterion: str | CriterionEntry | Function,
    networks: Iterable[Network] | None = None,
    *,
    invariant: bool | None = None,
    expected_failures: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Conformance:
    """Run every law of a pruning criterion on networks with dead, tied and unbalanced units.

    Laws, by name: ``import`` (of what a manifest names), ``scores`` (real numbers for each weight,
    no NaN), ``unchanged`` (the network), ``deterministic`` (under a seed), ``invariant`` (no
    positive rescaling of hidden units changes which weights score lowest, ties apart).

    Parameters
    ----------
    criterion : str, CriterionEntry or callable
        What `sparseopt.prune` takes: the name of a criterion, or a function of the network; or the
        entry of a manifest.
    networks : iterable of Network or None
        Tried besides those of the kit; None for these alone.
    invariant : bool or None
        Whether it is to be invariant. None means what the entry declares, and of a function False.
    expected_failures : mapping of law to reason
        As for `check_solver`.
    seed : int
        Of the kit's networks, the factors, and the calls of the criterion.

    Returns
    -------
    Conformance

    Raises
    ------
    AssertionError
        If a law is broken; the message names the network, the weight and its scores.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.testing import check_criterion
    >>> def size(network):
    ...     return {name: np.abs(array) for name, array in network.parameters().items()}
    >>> done = check_criterion(size)
    size: 18 checks ran, 0 failed
    >>> check_criterion(size, invariant=True)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: size: 24 checks ran, 6 failed
      invariant (network dense): ...
    """
    name, function, declared, made_of = _known(criterion, seed)
    wanted = declared if invariant is None else invariant
    subjects = {f"network {key}": net for key, net in awkward_networks(seed).items()}
    own = listed([] if networks is None else networks, "networks", "check_criterion(f, [network])")
    subjects |= {f"network {i}": network for i, network in enumerate(own)}
    outcome = Conformance(name, expected_failures or {})
    if made_of is not None:
        outcome.run("import", "", lambda: laws.imports_quietly(made_of))  # type: ignore[arg-type]
    for where, network in subjects.items():
        if not isinstance(network, Network):
            raise ProblemError(f"{where} is a {type(network).__name__}, not a Network")
        _check_on(outcome, name, function, network, where, wanted, seed)
    return outcome.finish()


def _known(criterion: Any, seed: int) -> tuple[str, Function, bool, Any]:
    """Return name and function of a criterion, what it promises, and what a manifest names."""
    if isinstance(criterion, str) and criterion in CRITERIA:
        own = CRITERIA[criterion]
        return criterion, lambda n: own.scores(n, seed), own.invariant, None
    if isinstance(criterion, str):
        known = {item.name: item for item in offers.registered_criteria()}
        if criterion not in known:
            names = ", ".join([*CRITERIA, *sorted(known)])
            raise ProblemError(f"there is no criterion {criterion!r}; there are {names}")
        criterion, function = known[criterion].entry, known[criterion].cls
    elif isinstance(criterion, CriterionEntry):
        module, _, attribute = criterion.path.partition(":")
        function = getattr(importlib.import_module(module), attribute)
    elif callable(criterion):
        name = str(getattr(criterion, "__name__", type(criterion).__name__))
        return name, criterion, False, None
    else:
        raise ProblemError(
            "criterion must be a name, a CriterionEntry or a function of the network, not a "
            f"{type(criterion).__name__}"
        )
    return criterion.name, lambda n: function(n, seed), criterion.invariant, function


def _check_on(
    outcome: Conformance,
    name: str,
    function: Function,
    network: Network,
    where: str,
    invariant: bool,
    seed: int,
) -> None:
    """Run the laws on one network."""
    before = laws.content(network)
    names = list(weight_names(network))
    found: dict[str, np.ndarray] = {}
    if not outcome.run(
        "scores", where, lambda: found.update(checked(network, name, function(network), names))
    ):
        return
    outcome.run(
        "unchanged", where, lambda: require(laws.content(network) == before, "network changed")
    )

    def deterministic() -> None:
        again = checked(network, name, function(network), names)
        same = all(np.array_equal(again[n], found[n]) for n in names)
        require(same, "two calls with one seed differ")

    outcome.run("deterministic", where, deterministic)
    if invariant:
        outcome.run("invariant", where, lambda: _invariant(function, network, name, found, seed))


def _invariant(
    function: Function, network: Network, name: str, scores: Mapping[str, np.ndarray], seed: int
) -> None:
    """No rescaling changes which weights are pruned, over all of them and in each tensor."""
    groups = RescalingGroups(network)
    for i, factors in enumerate(_FACTORS):
        drawn = random_factors(network, factors, seed=seed + i)
        other = rescaled(groups, np.concatenate([[1.0], np.asarray(drawn, dtype=np.float64)]))
        after = checked(other, name, function(other), list(scores))
        for part in (list(scores), *([n] for n in scores)):
            _same_lowest(network, part, scores, after)


def _same_lowest(
    network: Network,
    names: list[str],
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
) -> None:
    """The same weights are the lowest, at each of several ratios, but for ties."""
    arrays = network.parameters()
    zero = np.concatenate([arrays[n].ravel() == 0 for n in names])
    one, two = (np.concatenate([s[n].ravel() for n in names]) for s in (before, after))
    for ratio in _RATIOS:
        count = round(ratio * len(zero))
        if not int(zero.sum()) < count < len(zero):
            continue
        gone, also = lowest(one, zero, count), lowest(two, zero, count)
        for place in np.flatnonzero(gone != also).tolist():
            if _is_tie(one, zero, gone, place) and _is_tie(two, zero, also, place):
                continue
            which, entry = _named(arrays, names, place)
            raise AssertionError(
                f"{which}{entry} is {'' if gone[place] else 'not '}among the {ratio:.0%} of lowest "
                f"scores, and {'not ' if gone[place] else ''}so once units are rescaled, which "
                f"leaves the function as it is: it scores {one[place]:.6g}, then {two[place]:.6g}"
            )


def _is_tie(scores: np.ndarray, zero: np.ndarray, gone: np.ndarray, place: int) -> bool:
    """Whether a weight scores what weights on the other side of the line score, to rounding.

    That of the score itself, or of what scores are apart: those far from 0 may lie close together.
    """
    other = scores[(gone != gone[place]) & ~zero]
    if not other.size:
        return False
    nearest = other.min() if gone[place] else other.max()
    size, apart = abs(scores[place]), np.ptp(scores[~zero])
    room = max(64 * np.finfo(np.float64).eps * size, _ROUNDING * min(size, apart))
    return bool(abs(nearest - scores[place]) <= room)


def _named(arrays: Mapping[str, np.ndarray], names: list[str], place: int) -> tuple[str, list[int]]:
    """Return the parameter of a weight, and its entry there."""
    for name in names:
        if place < arrays[name].size:
            return name, [int(i) for i in np.unravel_index(place, arrays[name].shape)]
        place -= arrays[name].size
    raise IndexError(place)
