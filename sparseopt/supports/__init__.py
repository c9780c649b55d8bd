"""Factorization with fixed supports: the nearest product of two factors whose zeros are given."""

from sparseopt.supports.certificate import FixedSupportCertificate, is_exactly
from sparseopt.supports.components import components, is_tractable
from sparseopt.supports.factors import SupportedFactors
from sparseopt.supports.problem import FixedSupportFactorization
