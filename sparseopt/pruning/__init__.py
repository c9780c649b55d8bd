"""Pruning by criteria that a rescaling of the network cannot change, and by those that it can."""

from sparseopt.pruning.one_shot import PrunedTensor, Pruning, prune
from sparseopt.pruning.supports import PairVerdict, pair_verdicts

__all__ = ["PairVerdict", "PrunedTensor", "Pruning", "pair_verdicts", "prune"]
