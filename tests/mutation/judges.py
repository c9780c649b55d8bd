"""The judging files, with the forged, honest and edited certificates that must tell their faults.

Every file in the trusted folders that checks or requires anything is in the table (a test compares
the two), and with them those that find the figures that are required, or read what is asked."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edits import edits
from mutants import forget

import sparseopt as so

SUBJECTS: dict[str, tuple[str, ...]] = {
    "forgeries_core": (
        "sparseopt.interface.certificate",
        "sparseopt.judging.finding_rules",
        "sparseopt.judging.verifying",
    ),
    "forgeries_core forgeries_objects": ("sparseopt.judging.check", "sparseopt.judging.settling"),
    "forgeries_closedness": (
        "sparseopt.judging.evidence",
        "sparseopt.training.data_without_optimum",
        "sparseopt.training.opposite_targets",
        "sparseopt.training.repeated_pattern",
        "sparseopt.training.sparse_training",
        "sparseopt.closedness.proofs.branch",
        "sparseopt.closedness.proofs.case_tree",
        "sparseopt.closedness.proofs.cases",
        "sparseopt.closedness.certificate",
        "sparseopt.closedness.proofs.chain_cases",
        "sparseopt.closedness.chain_limits",
        "sparseopt.closedness.chain_parts",
        "sparseopt.closedness.proofs.chain_steps",
        "sparseopt.closedness.chains",
        "sparseopt.closedness.closed",
        "sparseopt.closedness.proofs.closed_parts",
        "sparseopt.closedness.proofs.exclusion",
        "sparseopt.closedness.proofs.exclusion_branch",
        "sparseopt.closedness.proofs.exclusion_cells",
        "sparseopt.closedness.proofs.exclusion_lines",
        "sparseopt.closedness.proofs.exclusion_ranks",
        "sparseopt.closedness.proofs.free_evidence",
        "sparseopt.closedness.external",
        "sparseopt.closedness.proofs.identities",
        "sparseopt.closedness.proofs.laurent",
        "sparseopt.closedness.limits",
        "sparseopt.closedness.proofs.observed",
        "sparseopt.closedness.nearest",
        "sparseopt.closedness.not_closed",
        "sparseopt.closedness.proofs.polynomials",
        "sparseopt.closedness.proofs.reductions",
        "sparseopt.closedness.proofs.staircase",
        "sparseopt.closedness.problem",
    ),
    "forgeries_closedness forgeries_recovery forgeries_greedy forgeries_elimination": (
        "sparseopt.judging.exact",
    ),
    "forgeries_factorization": (
        "sparseopt.butterfly.certificate",
        "sparseopt.butterfly.comparison",
        "sparseopt.butterfly.expansion",
        "sparseopt.butterfly.permuted",
        "sparseopt.butterfly.permuted_certificate",
        "sparseopt.butterfly.probing",
        "sparseopt.judging.stated",
        "sparseopt.supports.bounds",
        "sparseopt.supports.certificate",
    ),
    "forgeries_coercive": (
        "sparseopt.supports.coercive",
        "sparseopt.supports.coercive_certificate",
        "sparseopt.supports.singular_values",
    ),
    "forgeries_regression forgeries_penalties forgeries_borders forgeries_questions": (
        "sparseopt.inverse.blocks",
        "sparseopt.inverse.certificate",
        "sparseopt.inverse.coefficients",
        "sparseopt.inverse.composite",
        "sparseopt.inverse.duality",
        "sparseopt.inverse.kinds",
        "sparseopt.inverse.least_squares",
        "sparseopt.inverse.matrix_penalties",
        "sparseopt.inverse.objective",
        "sparseopt.inverse.operators",
        "sparseopt.inverse.penalty",
        "sparseopt.inverse.problem",
        "sparseopt.inverse.scaling",
        "sparseopt.inverse.squares",
    ),
    "forgeries_pursuit forgeries_pursuit_borders forgeries_known_support forgeries_subsets": (
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
    "forgeries_change": (
        "sparseopt.guarantees.boxes",
        "sparseopt.guarantees.layers",
        "sparseopt.guarantees.output_change",
        "sparseopt.guarantees.path_metric",
        "sparseopt.guarantees.substitution",
    ),
    "forgeries_identifiability forgeries_identifiability_constants "
    "forgeries_identifiability_units forgeries_identifiability_seconds "
    "forgeries_identifiability_facets forgeries_identifiability_settling "
    "forgeries_identifiability_figures": (
        "sparseopt.guarantees.facets",
        "sparseopt.guarantees.families",
        "sparseopt.guarantees.identifiability",
        "sparseopt.guarantees.modular",
        "sparseopt.guarantees.orbit",
        "sparseopt.guarantees.parameters",
        "sparseopt.guarantees.patterns",
        "sparseopt.guarantees.rank",
        "sparseopt.guarantees.second_network",
        "sparseopt.guarantees.settling",
        "sparseopt.guarantees.structural",
        "sparseopt.guarantees.wires",
    ),
    "forgeries_one_hidden_layer": ("sparseopt.guarantees.one_hidden_layer",),
    "forgeries_deconvolution": ("sparseopt.inverse.deconvolution",),
    "forgeries_recovery forgeries_recovery_complex forgeries_greedy": (
        "sparseopt.inverse.greedy_recovery",
        "sparseopt.inverse.recovery_bound",
        "sparseopt.inverse.recovery_certificate",
        "sparseopt.inverse.recovery_counterexamples",
        "sparseopt.inverse.recovery_proofs",
        "sparseopt.judging.integers",
    ),
    "forgeries_rescaling": ("sparseopt.inverse.rescaling",),
    "forgeries_interpolation": ("sparseopt.training.interpolation",),
    "forgeries_training": (
        "sparseopt.training.activation_cover",
        "sparseopt.training.two_layer_bounds",
        "sparseopt.training.two_layer_certificate",
        "sparseopt.training.two_layer_units",
    ),
    "forgeries_products forgeries_quantization_complex": (
        "sparseopt.quantization.chain_error",
        "sparseopt.quantization.product_certificate",
    ),
    "forgeries_quantization forgeries_quantization_complex": (
        "sparseopt.quantization.exponent_certificates",
        "sparseopt.quantization.rank_one",
        "sparseopt.quantization.rank_one_certificate",
    ),
    "forgeries_pieces": (
        "sparseopt.quantization.least_costs",
        "sparseopt.quantization.pieces",
    ),
    "forgeries_paths": (
        "sparseopt.pathnorm.edges",
        "sparseopt.pathnorm.lipschitz",
        "sparseopt.pathnorm.path_distance",
        "sparseopt.pathnorm.path_cost",
        "sparseopt.pathnorm.path_norm",
    ),
}
"""Names of modules of forgeries to the judging modules that their certificates run through."""

SKIP = (
    "build",
    "proved",
    "explain",
    "describe",
    "evaluate",
    "structure",
    "undecided",
    "__str__",
    "__repr__",
    "__init_subclass__",
    "explain_exclusion",
    "samples",
    "_listed",
    "data_set",
    "_is_float",
    "weights_at",
    "marked_cells",
    "show",
    "remember",
    "judgement",
    "proves",
    "read_text",
    "_told",
    "_headed",
    "_joined",
    "_accuracy_lines",
    "_shown_place",
    "brief",
    "sentence",
    "polynomial_words",
    "rule",
    "sampled",
    "misfit",
    "DualityGap.excess",
    "PairedGap.excess",
    "VariationGap.excess",
    "NuclearGap.excess",
    "Penalty.value",
    "PenaltySum.value",
    "TotalVariation.value",
    "NuclearNorm.value",
    "Penalty.at",
    "PenaltySum.at",
    "SparseGroupL1.at",
    "PenaltySum._varied",
    "Penalty.__radd__",
    "SparseRegression._structure",
    "SparseRegression.residual_parts",
    "ColumnOperator.quickly",
    "ColumnOperator.times",
    "RankOneQuantization.nearest",
    "PathDistanceValue.output_bound",
    "RankOneTerm.to_dense",
    "ExactColumns.work_of",
    "elimination_work",
    "_path_work",
    "Joint.work",
)
"""Functions that make certificates, words or figures and judge nothing, or run at import.

So do those that only estimate how long a check takes.
"""

MOST_EDITS = 30
"""Of one kind of certificate."""
SLOW = 0.02
"""Seconds; edits whose judgement takes longer are left out."""


def read(entry: Any) -> Any:
    """Return a certificate, or what its JSON text holds."""
    return so.from_json(entry) if isinstance(entry, str) else entry


def judged(entry: Any) -> tuple[str, str]:
    """Return outcome and words of an entry: a certificate, a text, or a function that verifies.

    The words are the claim and the accuracy of what is accepted, and the last line of what is
    refused. What cannot be read is refused, with the error as its line.
    """
    try:
        subject = None if callable(entry) else read(entry)
        check = entry() if subject is None else so.verify(subject)
    except so.ProblemError as error:
        return "refused", str(error)
    if check.outcome == "refused":
        return check.outcome, check.details[-1] if check.details else ""
    figure = f" {subject.accuracy!r}" if isinstance(subject, so.Certificate) else ""
    return check.outcome, f"{check.claim}{figure}"


def steady(entry: Any) -> Callable[[], tuple[str, str]]:
    """Return a function that judges an entry, without what a random check found if it varies."""
    if judged(entry) == judged(entry):
        return lambda: judged(entry)

    def without_figures() -> tuple[str, str]:
        outcome, line = judged(entry)
        return outcome, line.partition(" (found: ")[0]

    return without_figures


def written(entry: Any) -> Any:
    """Return the JSON text of a certificate, so that reading it is judged too; others as they are.

    Toys of the tests that JSON does not know stay objects.
    """
    try:
        return so.to_json(entry) if isinstance(entry, so.Certificate) else entry
    except so.ProblemError:
        return entry


def edited(texts: list[str]) -> Iterator[str]:
    """Yield edits of the smallest text of each kind of certificate and problem, evenly chosen."""
    smallest: dict[tuple[str, ...], str] = {}
    for text in sorted(texts, key=lambda text: (len(text), text)):
        body = json.loads(text)
        problem = body.get("problem", {})
        parts = ("$type", "permutations", "method", "decay", "gates", "norm")
        kind = [str(problem.get(part)) for part in parts if not isinstance(problem.get(part), dict)]
        smallest.setdefault((str(body.get("$type")), *kind), text)
    for text in smallest.values():
        found = [changed for _, changed in edits(text)]
        yield from found[:: len(found) // MOST_EDITS + 1]


Place = tuple[str, str]
"""A file and the qualified name of a function in it."""


def places(judge: Callable[[], Any]) -> frozenset[Place]:
    """Return the functions of the library that run when an entry is judged."""
    found: set[Place] = set()

    def called(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and "sparseopt" in frame.f_code.co_filename:
            found.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    forget()
    sys.setprofile(called)
    try:
        judge()
    finally:
        sys.setprofile(None)
    return frozenset(found)


@dataclass(frozen=True)
class Entry:
    """Something that is judged, whether it is right (None for edits), what is found, and where."""

    judge: Callable[[], tuple[str, str]]
    honest: bool | None
    before: tuple[str, str]
    places: frozenset[Place]


class Bank:
    """The forged, honest and edited certificates of some modules, those that killed last first.

    Of edited ones it is only asked that they are judged as before: some are true.
    """

    def __init__(self, modules: str) -> None:
        found = [importlib.import_module(module) for module in modules.split()]
        self.entries: list[Entry] = []
        for _, entry in (pair for module in found for pair in module.forged()):
            self._add(steady(entry), False)
        right = [written(entry) for module in found for _, entry in module.honest()]
        for entry in right:
            self._add(steady(entry), True)
        for text in edited([entry for entry in right if isinstance(entry, str)]):
            start = time.process_time()
            judge = steady(text)
            if time.process_time() - start < 2 * SLOW:
                self._add(judge, None)

    def _add(self, judge: Callable[[], tuple[str, str]], honest: bool | None) -> None:
        self.entries.append(Entry(judge, honest, judge(), places(judge)))

    def sound(self) -> bool:
        """Return whether all honest entries are accepted, no forged one is, and no reason moves."""
        right = all(
            (entry.before[0] == "accepted") is entry.honest
            for entry in self.entries
            if entry.honest is not None
        )
        return right and self.unmoved()

    def unmoved(self, at: Place | None = None) -> bool:
        """Return whether every verdict is as before, and every refusal for the same reason.

        The reason counts because what one line lets through often ends in an exception further
        on. With a place only the entries that run through it are judged. The entry that moved goes
        to the front.
        """
        for i, entry in enumerate(self.entries):
            if (at is None or at in entry.places) and entry.judge() != entry.before:
                self.entries.insert(0, self.entries.pop(i))
                return False
        return True


def modules() -> Iterator[tuple[str, str]]:
    """Yield (modules of forgeries, judging module)."""
    for forgeries, judging in SUBJECTS.items():
        for module in judging:
            yield forgeries, module
