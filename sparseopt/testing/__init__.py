"""The conformance kit: run it on your own solvers and analyzers."""

from sparseopt.testing.analyzers import check_analyzer
from sparseopt.testing.outcome import Conformance
from sparseopt.testing.solvers import Provable, check_solver

__all__ = ["Conformance", "Provable", "check_analyzer", "check_solver"]
