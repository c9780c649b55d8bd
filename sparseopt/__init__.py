"""Sparse deep learning and structured matrices with answers that come with proofs."""

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
from sparseopt.problem import Problem
from sparseopt.reader import Reader
from sparseopt.serialization import from_json, json_type, to_json
from sparseopt.solver import Solver
from sparseopt.verdict import Accepted, Guarantee, Refused, Unavailable
