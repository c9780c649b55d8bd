"""Kronecker-sparse patterns, architectures and products."""

from sparseopt.kronecker.pattern import Architecture, KroneckerPattern
from sparseopt.kronecker.product import KroneckerProduct
