"""No fault planted in judging code survives the forged, honest and edited certificates."""

from __future__ import annotations

import ast
import sys
from functools import partial
from pathlib import Path

import pytest
from rooms import TRUSTED

sys.path.insert(0, str(Path(__file__).parent))

from equivalent import EQUIVALENT
from judges import SKIP, SUBJECTS, Bank, modules
from mutants import REFUSALS, mutants, survives

ROOT = Path(__file__).parents[2]


def judges() -> set[str]:
    """Return the trusted modules that define a check or require something."""
    found = set()
    for path in (ROOT / "sparseopt").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        checks = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in nodes)
        requires = any(isinstance(n, ast.Attribute) and n.attr in REFUSALS for n in nodes)
        if parts[1] in TRUSTED and (checks or requires):
            found.add(".".join(parts))
    return found


def test_every_judging_file_is_in_the_table() -> None:
    listed = [module for _, module in modules()]
    assert len(set(listed)) == len(listed), "each is listed once"
    assert judges() - set(listed) == set()


@pytest.mark.slow
def test_every_fault_that_is_listed_can_be_planted() -> None:
    planted = {mutant.name for _, module in modules() for mutant in mutants(module, SKIP)}
    assert set(EQUIVALENT) - planted == set()


@pytest.mark.slow
@pytest.mark.parametrize("forgeries", list(SUBJECTS))
def test_no_planted_fault_survives(forgeries: str) -> None:
    bank = Bank(forgeries)
    assert bank.sound(), "the verdicts are right before anything is planted"
    planted = [m for module in SUBJECTS[forgeries] for m in mutants(module, SKIP)]
    survivors = {m.name for m in planted if survives(m, partial(bank.unmoved, m.place))}
    unknown = sorted(survivors - set(EQUIVALENT))
    assert not unknown, f"{len(unknown)} survivors:\n" + "\n".join(unknown)
