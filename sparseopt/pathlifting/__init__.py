"""Quantities of the path-lifting of a network: norms, counts, bounds, the lifting itself."""

from sparseopt.pathlifting.counts import path_count
from sparseopt.pathlifting.depth import DepthProfile, norms_along_depth
from sparseopt.pathlifting.generalization import (
    PoolingShape,
    bound_factor,
    generalization_bound,
    pooling_shape,
)
from sparseopt.pathlifting.lifting import PathLifting, path_lifting
from sparseopt.pathlifting.lipschitz import LipschitzBound, LipschitzCertificate, LipschitzValue
from sparseopt.pathlifting.metric import (
    PathDistance,
    PathDistanceCertificate,
    PathDistanceValue,
)
from sparseopt.pathlifting.pathcost import PathCost, PathCostCertificate, PathCosts
from sparseopt.pathlifting.pathnorm import PathNorm, PathNormCertificate, PathNormValue
from sparseopt.pathlifting.sensitivity import path_table
