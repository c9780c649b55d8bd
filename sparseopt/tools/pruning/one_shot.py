"""One round of pruning: the masks of a network, and the network under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.networks.network import Network
from sparseopt.pathnorm.path_cost import weight_names
from sparseopt.tools.pruning.channels import channel_masks, removed_groups, scores_of_groups
from sparseopt.tools.pruning.chosen import Choice, chosen_nodes, left_alone
from sparseopt.tools.pruning.criteria import CriterionLike, require_criterion, scores
from sparseopt.tools.pruning.patterns import (
    Totals,
    inputs_in_rows,
    pattern_masks,
    pattern_of,
    weight_masks,
)
from sparseopt.tools.pruning.results import PrunedTensor, Pruning
from sparseopt.tools.pruning.supports import close_supports
from sparseopt.tools.rescaling.groups import RescalingGroups
from sparseopt.tools.rescaling.in_place import without_tensor
from sparseopt.tools.rescaling.removal import linked_groups

_NONE = "the network has no weights of dense or convolutional layers to prune"


@dataclass(frozen=True, eq=False)
class Task:
    """How networks are to be pruned; the fields are named as the parameters of `prune`."""

    criterion: CriterionLike
    scope: str
    granularity: str
    layers: Choice
    exclude: Choice
    closed: bool
    seed: int
    in_place: bool

    def __post_init__(self) -> None:
        if self.scope not in ("global", "layer"):
            raise ProblemError(f"scope must be 'global' or 'layer', not {short(self.scope)}")
        known = self.granularity in ("weight", "channel")
        if not isinstance(self.granularity, str) or not (known or pattern_of(self.granularity)):
            raise ProblemError(
                "granularity must be 'weight', 'channel' or a pattern N:M such as '2:4', not "
                f"{self.granularity!r}"
            )
        require_criterion(self.criterion)

    def pruned(self, network: Network, ratio: float, progress: Progress | None = None) -> Pruning:
        """Return the network with the lowest weights at zero."""
        context = Context(progress=progress)
        context.report(0.0, "scoring weights")
        left = left_alone(network, self.in_place)
        possible = [name for name in weight_names(network) if name not in left]
        nodes = chosen_nodes(network, self.layers, self.exclude) if possible else set()
        removed: tuple[str, ...] = ()
        if self.granularity == "channel":
            names = possible
            masks, removed = self._of_channels(network, names, nodes, ratio)
        else:
            names = self._names(network, possible, nodes, left)
            totals = Totals(network, names, self._scores(network, names))
            pattern = pattern_of(self.granularity)
            if pattern is not None:
                masks = pattern_masks(totals, *pattern)
            else:
                masks = weight_masks(totals, ratio, self.scope)
            masks = {name: masks[name] for name in names}
        context.report(0.6, "removing weights")
        if self.closed:
            masks = close_supports(network, masks, context.part(0.6, 1.0))
        return self._result(network, masks, left, ratio, removed)

    def _scores(self, network: Network, names: list[str]) -> Any:
        if not names:
            raise ProblemError(_NONE)
        return scores(network, self.criterion, self.seed, names)

    def _names(
        self, network: Network, possible: list[str], nodes: set[str], left: dict[str, str]
    ) -> list[str]:
        """Return the parameters to prune; write the reasons of the others down in `left`."""
        pattern = pattern_of(self.granularity)
        names, reasons = [], {}
        for name in possible:
            reason = "" if name.rpartition(".")[0] in nodes else "left alone: as was asked"
            if not reason and pattern is not None:
                reason = inputs_in_rows(network, name, pattern[1])
            if reason:
                reasons[name] = reason
            else:
                names.append(name)
        if possible and not names:
            raise ProblemError(
                "nothing is left to prune: "
                + "; ".join(f"{name} is {reason}" for name, reason in list(reasons.items())[:4])
            )
        left |= reasons
        return names

    def _of_channels(
        self, network: Network, names: list[str], nodes: set[str], ratio: float
    ) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """Return masks without whole groups of units, and the names of these."""
        found = self._scores(network, names)
        fixed = without_tensor(network) if self.in_place else []
        weights = frozenset(n for n in fixed if n in weight_names(network))
        groups = RescalingGroups(network, weights, scaled=False)
        totals, living = scores_of_groups(groups, found), linked_groups(groups)
        gone = removed_groups(groups, totals, living, ratio, self.scope, nodes)
        removed = tuple(groups.names[g - 1] for g in np.flatnonzero(gone))
        return channel_masks(network, groups, gone, names), removed

    def _result(
        self,
        network: Network,
        masks: dict[str, np.ndarray],
        left: dict[str, str],
        ratio: float,
        removed: tuple[str, ...],
    ) -> Pruning:
        table = tuple(
            PrunedTensor(name, array.size, array.size, left[name])
            if name in left
            else PrunedTensor(name, array.size, int(masks[name].sum()))
            for name, array in network.parameters().items()
        )
        return Pruning(
            masked(network, masks),
            masks,
            table,
            require_criterion(self.criterion),
            self.scope,
            ratio,
            granularity=self.granularity,
            removed=removed,
        )


def masked(network: Network, masks: dict[str, np.ndarray]) -> Network:
    """Return the network with zeros where masks are False."""
    arrays = network.parameters()
    return network.with_parameters({n: _masked(arrays[n], m) for n, m in masks.items()})


def _masked(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask, array, array.dtype.type(0) if array.dtype != object else 0)
