"""Positive rescaling of hidden units: the symmetry of ReLU networks."""

from sparseopt.rescaling.balance import Balance, canonical_factors, canonicalize, neural_balance
from sparseopt.rescaling.equivalence import RescalingEquivalence, are_rescaling_equivalent
from sparseopt.rescaling.factors import random_factors, rescale
from sparseopt.rescaling.groups import RescalingGroups

__all__ = [
    "Balance",
    "RescalingEquivalence",
    "RescalingGroups",
    "are_rescaling_equivalent",
    "canonical_factors",
    "canonicalize",
    "neural_balance",
    "random_factors",
    "rescale",
]
