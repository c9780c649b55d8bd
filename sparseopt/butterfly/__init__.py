"""Butterfly factorization: the nearest product of Kronecker-sparse factors, with proven bounds."""

from sparseopt.butterfly.certificate import ButterflyCertificate
from sparseopt.butterfly.permuted import PermutedKroneckerProduct
from sparseopt.butterfly.permuted_certificate import PermutedButterflyCertificate
from sparseopt.butterfly.problem import ButterflyFactorization
from sparseopt.butterfly.selection import ChosenArchitecture, architecture_front, best_architecture
