"""No fault planted in judging code survives the forged and honest certificates."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from equivalent import EQUIVALENT
from judges import SKIP, Bank, modules
from mutants import mutants, survives


@pytest.mark.slow
@pytest.mark.parametrize(("forgeries", "module"), list(modules()))
def test_no_planted_fault_survives(forgeries: str, module: str) -> None:
    bank = Bank(forgeries)
    assert bank.sound(), "the verdicts are right before anything is planted"
    survivors = [m.name for m in mutants(module, SKIP) if survives(m, bank.unmoved)]
    unknown = [name for name in survivors if name not in EQUIVALENT]
    assert not unknown, f"{len(unknown)} survivors:\n" + "\n".join(unknown)
