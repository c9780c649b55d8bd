"""Closedness of the set of products of matrices with given supports."""

from sparseopt.closedness.chains import KroneckerChainCertificate, ShortenedChainCertificate
from sparseopt.closedness.closed import (
    ComparableCertificate,
    ReducedClosedCertificate,
    SingleFactorCertificate,
)
from sparseopt.closedness.external import ExternalExclusionCertificate
from sparseopt.closedness.nearest import (
    ClosedSupport,
    ClosedSupportCertificate,
    NearestClosedSupport,
)
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.problem import Closedness, ClosednessVerdict
from sparseopt.closedness.windows import lu_window_count
