"""Sparse deep learning and structured matrices with answers that come with proofs."""

import importlib
from typing import TYPE_CHECKING, Any

from sparseopt import registry as _registry
from sparseopt.analysis import analyze
from sparseopt.analyzer import Analyzer
from sparseopt.certificate import Certificate, Check, Steps
from sparseopt.context import Context
from sparseopt.errors import (
    Inconclusive,
    ProblemError,
    SolveError,
    SparseoptError,
    TimeLimitReached,
    UnknownNameError,
)
from sparseopt.finding import Finding, SeriesFigure, Severity, SupportFigure
from sparseopt.manifest import AnalyzerEntry, Manifest, ReaderEntry, SolverEntry
from sparseopt.parallel import solve_all
from sparseopt.planning import Candidate, Plan, plan
from sparseopt.preference import preferences
from sparseopt.problem import Problem
from sparseopt.reader import Reader
from sparseopt.registry import analyzers, plugins, read, solvers
from sparseopt.report import Report
from sparseopt.serialization import from_json, json_type, to_json
from sparseopt.solution import Solution, Status
from sparseopt.solver import Solver
from sparseopt.solving import solve
from sparseopt.verdict import Accepted, Guarantee, Refused, Unavailable
from sparseopt.verifying import verify

if TYPE_CHECKING:
    from sparseopt.butterfly import (
        ButterflyCertificate,
        ButterflyFactorization,
        PermutedButterflyCertificate,
        PermutedKroneckerProduct,
    )
    from sparseopt.closedness import (
        Closedness,
        ClosednessVerdict,
        ClosedSupport,
        ClosedSupportCertificate,
        ComparableCertificate,
        ExternalExclusionCertificate,
        KroneckerChainCertificate,
        NearestClosedSupport,
        NotClosedCertificate,
        ReducedClosedCertificate,
        ShortenedChainCertificate,
        SingleFactorCertificate,
        lu_window_count,
    )
    from sparseopt.fixed_support import (
        FixedSupportCertificate,
        FixedSupportFactorization,
        SupportedFactors,
    )
    from sparseopt.kronecker import Architecture, KroneckerPattern, KroneckerProduct
    from sparseopt.network import Network, load_network
    from sparseopt.pathlifting import (
        LipschitzBound,
        LipschitzCertificate,
        LipschitzValue,
        PathCost,
        PathCostCertificate,
        PathCosts,
        PathDistance,
        PathDistanceCertificate,
        PathDistanceValue,
        PathLifting,
        PathNorm,
        PathNormCertificate,
        PathNormValue,
        PoolingShape,
        bound_factor,
        generalization_bound,
        path_count,
        path_lifting,
        path_table,
        pooling_shape,
    )
    from sparseopt.pruning import PairVerdict, PrunedTensor, Pruning, pair_verdicts, prune
    from sparseopt.recovery import (
        L1,
        Coefficients,
        DualityGapCertificate,
        GroupL1,
        Penalty,
        SparseRegression,
    )
    from sparseopt.rescaling import (
        Balance,
        RescalingEquivalence,
        RescalingGroups,
        are_rescaling_equivalent,
        canonical_factors,
        canonicalize,
        neural_balance,
        random_factors,
        rescale,
    )
    from sparseopt.sparse_training import SparseTraining, TrainingCertificate, TrainingVerdict

__all__ = [
    "L1",
    "Accepted",
    "Analyzer",
    "AnalyzerEntry",
    "Architecture",
    "Balance",
    "ButterflyCertificate",
    "ButterflyFactorization",
    "Candidate",
    "Certificate",
    "Check",
    "ClosedSupport",
    "ClosedSupportCertificate",
    "Closedness",
    "ClosednessVerdict",
    "Coefficients",
    "ComparableCertificate",
    "Context",
    "DualityGapCertificate",
    "ExternalExclusionCertificate",
    "Finding",
    "FixedSupportCertificate",
    "FixedSupportFactorization",
    "GroupL1",
    "Guarantee",
    "Inconclusive",
    "KroneckerChainCertificate",
    "KroneckerPattern",
    "KroneckerProduct",
    "LipschitzBound",
    "LipschitzCertificate",
    "LipschitzValue",
    "Manifest",
    "NearestClosedSupport",
    "Network",
    "NotClosedCertificate",
    "PairVerdict",
    "PathCost",
    "PathCostCertificate",
    "PathCosts",
    "PathDistance",
    "PathDistanceCertificate",
    "PathDistanceValue",
    "PathLifting",
    "PathNorm",
    "PathNormCertificate",
    "PathNormValue",
    "Penalty",
    "PermutedButterflyCertificate",
    "PermutedKroneckerProduct",
    "Plan",
    "PoolingShape",
    "Problem",
    "ProblemError",
    "PrunedTensor",
    "Pruning",
    "Reader",
    "ReaderEntry",
    "ReducedClosedCertificate",
    "Refused",
    "Report",
    "RescalingEquivalence",
    "RescalingGroups",
    "SeriesFigure",
    "Severity",
    "ShortenedChainCertificate",
    "SingleFactorCertificate",
    "Solution",
    "SolveError",
    "Solver",
    "SolverEntry",
    "SparseRegression",
    "SparseTraining",
    "SparseoptError",
    "Status",
    "Steps",
    "SupportFigure",
    "SupportedFactors",
    "TimeLimitReached",
    "TrainingCertificate",
    "TrainingVerdict",
    "Unavailable",
    "UnknownNameError",
    "analyze",
    "analyzers",
    "are_rescaling_equivalent",
    "bound_factor",
    "canonical_factors",
    "canonicalize",
    "from_json",
    "generalization_bound",
    "json_type",
    "load_network",
    "lu_window_count",
    "neural_balance",
    "pair_verdicts",
    "path_count",
    "path_lifting",
    "path_table",
    "plan",
    "plugins",
    "pooling_shape",
    "preferences",
    "prune",
    "random_factors",
    "read",
    "rescale",
    "solve",
    "solve_all",
    "solvers",
    "to_json",
    "verify",
]

# The domains load at first use, so that importing sparseopt costs little more than NumPy, SciPy
# and networkx. A test compares this table with the imports for type checkers above.
DOMAINS = {
    "sparseopt.butterfly": (
        "ButterflyCertificate",
        "ButterflyFactorization",
        "PermutedButterflyCertificate",
        "PermutedKroneckerProduct",
    ),
    "sparseopt.closedness": (
        "ClosedSupport",
        "ClosedSupportCertificate",
        "Closedness",
        "ClosednessVerdict",
        "ComparableCertificate",
        "ExternalExclusionCertificate",
        "KroneckerChainCertificate",
        "NearestClosedSupport",
        "NotClosedCertificate",
        "ReducedClosedCertificate",
        "ShortenedChainCertificate",
        "SingleFactorCertificate",
        "lu_window_count",
    ),
    "sparseopt.fixed_support": (
        "FixedSupportCertificate",
        "FixedSupportFactorization",
        "SupportedFactors",
    ),
    "sparseopt.kronecker": ("Architecture", "KroneckerPattern", "KroneckerProduct"),
    "sparseopt.network": ("Network", "load_network"),
    "sparseopt.pathlifting": (
        "LipschitzBound",
        "LipschitzCertificate",
        "LipschitzValue",
        "PathCost",
        "PathCostCertificate",
        "PathCosts",
        "PathDistance",
        "PathDistanceCertificate",
        "PathDistanceValue",
        "PathLifting",
        "PathNorm",
        "PathNormCertificate",
        "PathNormValue",
        "PoolingShape",
        "bound_factor",
        "generalization_bound",
        "path_count",
        "path_lifting",
        "path_table",
        "pooling_shape",
    ),
    "sparseopt.pruning": ("PairVerdict", "PrunedTensor", "Pruning", "pair_verdicts", "prune"),
    "sparseopt.recovery": (
        "Coefficients",
        "DualityGapCertificate",
        "GroupL1",
        "L1",
        "Penalty",
        "SparseRegression",
    ),
    "sparseopt.rescaling": (
        "Balance",
        "RescalingEquivalence",
        "RescalingGroups",
        "are_rescaling_equivalent",
        "canonical_factors",
        "canonicalize",
        "neural_balance",
        "random_factors",
        "rescale",
    ),
    "sparseopt.sparse_training": ("SparseTraining", "TrainingCertificate", "TrainingVerdict"),
}
_HOME = {name: module for module, names in DOMAINS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name.startswith("_"):
        raise AttributeError(f"module 'sparseopt' has no attribute {name!r}")
    else:  # what a plugin's manifest offers under this name, such as a torch layer
        value = _registry.tool(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_registry.tool_names()})
