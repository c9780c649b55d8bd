"""Sparse recovery: regression with a sparsity penalty, and the proof that an answer is optimal."""

from sparseopt.recovery.certificate import DualityGapCertificate
from sparseopt.recovery.coefficients import Coefficients
from sparseopt.recovery.penalty import L1, GroupL1, Penalty
from sparseopt.recovery.problem import SparseRegression
