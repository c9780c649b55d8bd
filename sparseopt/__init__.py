"""Sparse deep learning and structured matrices with answers that come with proofs."""

from sparseopt.analysis import analyze
from sparseopt.analyzer import Analyzer
from sparseopt.butterfly import ButterflyCertificate, ButterflyFactorization
from sparseopt.certificate import Certificate, Check, Steps
from sparseopt.closedness import (
    Closedness,
    ClosednessVerdict,
    ComparableCertificate,
    NotClosedCertificate,
    SingleFactorCertificate,
)
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
from sparseopt.fixed_support import (
    FixedSupportCertificate,
    FixedSupportFactorization,
    SupportedFactors,
)
from sparseopt.kronecker import Architecture, KroneckerPattern, KroneckerProduct
from sparseopt.manifest import AnalyzerEntry, Manifest, ReaderEntry, SolverEntry
from sparseopt.network import Network, load_network
from sparseopt.pathlifting import PathNorm, PathNormCertificate, PathNormValue, path_count
from sparseopt.planning import Candidate, Plan, plan
from sparseopt.preference import preferences
from sparseopt.problem import Problem
from sparseopt.reader import Reader
from sparseopt.recovery import (
    L1,
    Coefficients,
    DualityGapCertificate,
    GroupL1,
    Penalty,
    SparseRegression,
)
from sparseopt.registry import analyzers, plugins, read, solvers
from sparseopt.report import Report
from sparseopt.serialization import from_json, json_type, to_json
from sparseopt.solution import Solution, Status
from sparseopt.solver import Solver
from sparseopt.solving import solve
from sparseopt.sparse_training import SparseTraining, TrainingCertificate, TrainingVerdict
from sparseopt.verdict import Accepted, Guarantee, Refused, Unavailable
from sparseopt.verifying import verify
