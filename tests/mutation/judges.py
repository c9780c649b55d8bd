"""The judging files, with the forged and honest certificates that must tell their faults."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import sparseopt as so

SUBJECTS: dict[str, tuple[str, ...]] = {
    "forgeries_core": (
        "sparseopt.interface.certificate",
        "sparseopt.judging.finding_rules",
        "sparseopt.judging.verifying",
    ),
    "forgeries_closedness": (
        "sparseopt.judging.evidence",
        "sparseopt.judging.exact",
        "sparseopt.training.sparse_training",
        "sparseopt.closedness.proofs.branch",
        "sparseopt.closedness.proofs.case_tree",
        "sparseopt.closedness.proofs.cases",
        "sparseopt.closedness.certificate",
        "sparseopt.closedness.proofs.chain_cases",
        "sparseopt.closedness.proofs.chain_steps",
        "sparseopt.closedness.chains",
        "sparseopt.closedness.closed",
        "sparseopt.closedness.proofs.closed_parts",
        "sparseopt.closedness.proofs.exclusion",
        "sparseopt.closedness.proofs.exclusion_branch",
        "sparseopt.closedness.proofs.exclusion_cells",
        "sparseopt.closedness.proofs.exclusion_lines",
        "sparseopt.closedness.external",
        "sparseopt.closedness.proofs.identities",
        "sparseopt.closedness.proofs.laurent",
        "sparseopt.closedness.limits",
        "sparseopt.closedness.proofs.observed",
        "sparseopt.closedness.nearest",
        "sparseopt.closedness.not_closed",
        "sparseopt.closedness.proofs.polynomials",
        "sparseopt.closedness.proofs.reductions",
        "sparseopt.closedness.problem",
    ),
    "forgeries_factorization": (
        "sparseopt.butterfly.certificate",
        "sparseopt.butterfly.expansion",
        "sparseopt.butterfly.permuted",
        "sparseopt.butterfly.probing",
        "sparseopt.supports.bounds",
        "sparseopt.supports.certificate",
    ),
    "forgeries_coercive": (
        "sparseopt.supports.coercive",
        "sparseopt.supports.coercive_certificate",
        "sparseopt.supports.singular_values",
    ),
    "forgeries_regression": (
        "sparseopt.inverse.certificate",
        "sparseopt.inverse.duality",
        "sparseopt.inverse.least_squares",
        "sparseopt.inverse.objective",
        "sparseopt.inverse.scaling",
    ),
    "forgeries_pursuit": (
        "sparseopt.inverse.constrained",
        "sparseopt.inverse.fit",
        "sparseopt.inverse.gap_certificate",
        "sparseopt.inverse.independence",
        "sparseopt.inverse.infeasible_certificate",
        "sparseopt.inverse.known_support_certificate",
        "sparseopt.inverse.pursuit_certificate",
        "sparseopt.inverse.square_root",
        "sparseopt.inverse.subset_bounds",
        "sparseopt.inverse.subset_certificate",
    ),
    "forgeries_deconvolution": ("sparseopt.inverse.deconvolution",),
    "forgeries_recovery": (
        "sparseopt.inverse.greedy_recovery",
        "sparseopt.inverse.recovery_bound",
        "sparseopt.inverse.recovery_counterexamples",
        "sparseopt.inverse.recovery_proofs",
        "sparseopt.judging.integers",
    ),
    "forgeries_rescaling": ("sparseopt.inverse.rescaling",),
    "forgeries_interpolation": ("sparseopt.training.interpolation",),
    "forgeries_paths": (
        "sparseopt.pathnorm.edges",
        "sparseopt.pathnorm.lipschitz",
        "sparseopt.pathnorm.path_distance",
        "sparseopt.pathnorm.path_cost",
        "sparseopt.pathnorm.path_norm",
    ),
}
"""Name of a module of forgeries to the judging modules that its certificates run through."""

SKIP = (
    "claim", "explain", "describe", "evaluate", "structure", "undecided", "__str__",
    "explain_exclusion", "marked_cells", "show", "remember", "remembered", "judgement", "proves",
    "read_text", "_headed", "_joined", "_accuracy_lines", "_shown_place", "brief", "sentence",
    "polynomial_words", "rule",
)  # fmt: skip
"""Functions that only make words or figures and judge nothing, or run at import."""


def read(entry: Any) -> Any:
    """Return a certificate, or what its JSON text holds."""
    return so.from_json(entry) if isinstance(entry, str) else entry


def judged(entry: Any) -> tuple[str, str]:
    """Return outcome and last line of an entry: a certificate, a text, or a function that verifies.

    What cannot be read is refused, with the error as its line.
    """
    try:
        check = entry() if callable(entry) else so.verify(read(entry))
    except so.ProblemError as error:
        return "refused", str(error)
    return check.outcome, check.details[-1] if check.outcome == "refused" and check.details else ""


def steady(entry: Any) -> Callable[[], tuple[str, str]]:
    """Return a function that judges an entry, without what a random check found if it varies."""
    if judged(entry) == judged(entry):
        return lambda: judged(entry)

    def without_figures() -> tuple[str, str]:
        outcome, line = judged(entry)
        return outcome, line.partition(" (found: ")[0]

    return without_figures


class Bank:
    """The forged and honest certificates of one module, those that killed last going first."""

    def __init__(self, module: str) -> None:
        found = importlib.import_module(module)
        entries = [(steady(entry), False) for _, entry in found.forged()]
        entries += [(steady(entry), True) for _, entry in found.honest()]
        self.entries = [(judge, honest, judge()) for judge, honest in entries]

    def sound(self) -> bool:
        """Return whether all honest entries are accepted, no forged one is, and no reason moves."""
        right = all((found[0] == "accepted") is honest for _, honest, found in self.entries)
        return right and self.unmoved()

    def unmoved(self) -> bool:
        """Return whether every verdict is as before, and every refusal for the same reason.

        The reason counts because what one line lets through often ends in an exception further
        on. The entry that moved goes to the front.
        """
        for i, (judge, _, before) in enumerate(self.entries):
            if judge() != before:
                self.entries.insert(0, self.entries.pop(i))
                return False
        return True


def modules() -> Iterator[tuple[str, str]]:
    """Yield (module of forgeries, judging module)."""
    for forgeries, judging in SUBJECTS.items():
        for module in judging:
            yield forgeries, module
