"""The conformance kit: run it on your own solvers, analyzers and criteria."""

from sparseopt.testing.analyzers import check_analyzer
from sparseopt.testing.criteria import check_criterion
from sparseopt.testing.outcome import Conformance
from sparseopt.testing.solvers import Provable, check_solver

__all__ = ["Conformance", "Provable", "check_analyzer", "check_criterion", "check_solver"]
