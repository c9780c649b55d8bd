"""Quantities of the path-lifting of a network: norms, path counts, bounds."""

from sparseopt.pathlifting.counting import path_count
from sparseopt.pathlifting.pathnorm import PathNorm, PathNormCertificate, PathNormValue
