"""Kronecker-sparse patterns, architectures and products."""

from sparseopt.kronecker.architecture import Architecture
from sparseopt.kronecker.enumeration import architectures
from sparseopt.kronecker.pattern import KroneckerPattern
from sparseopt.kronecker.product import KroneckerProduct, random_product
