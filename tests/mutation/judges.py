"""The judging files, with the forged and honest certificates that must tell their faults."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import sparseopt as so

SUBJECTS: dict[str, tuple[str, ...]] = {
    "forgeries_core": (
        "sparseopt.certificate",
        "sparseopt.finding_rules",
        "sparseopt.verifying",
    ),
}
"""Name of a module of forgeries to the judging modules that its certificates run through."""

SKIP = (
    "claim", "explain", "describe", "evaluate", "structure", "undecided", "__str__",
    "explain_exclusion", "marked_cells", "show", "remember", "remembered", "judgement",
    "read_text", "_headed", "_joined", "_accuracy_lines",
)  # fmt: skip
"""Functions that only make words or figures and judge nothing."""


def read(entry: Any) -> Any:
    """Return a certificate, or what its JSON text holds."""
    return so.from_json(entry) if isinstance(entry, str) else entry


def outcome(entry: Any) -> str:
    """Return the outcome of an entry: a certificate, a JSON text, or a function that verifies.

    What cannot be read is refused.
    """
    try:
        return entry().outcome if callable(entry) else so.verify(read(entry)).outcome
    except so.ProblemError:
        return "refused"


class Bank:
    """The forged and honest certificates of one module, those that killed last going first."""

    def __init__(self, module: str) -> None:
        found = importlib.import_module(module)
        self.entries = [(entry, False) for _, entry in found.forged()]
        self.entries += [(entry, True) for _, entry in found.honest()]

    def right(self) -> bool:
        """Return whether every verdict is right; on a fault its entry moves to the front."""
        for i, (entry, honest) in enumerate(self.entries):
            if (outcome(entry) == "accepted") is not honest:
                self.entries.insert(0, self.entries.pop(i))
                return False
        return True


def modules() -> Iterator[tuple[str, str]]:
    """Yield (module of forgeries, judging module)."""
    for forgeries, judging in SUBJECTS.items():
        for module in judging:
            yield forgeries, module
