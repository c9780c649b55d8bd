"""The checker of closedness in ``examples/``, which shares no code with the library."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import sparseopt as so


def _loaded() -> Any:
    path = Path(__file__).parents[2] / "examples" / "check_closedness_proof.py"
    spec = importlib.util.spec_from_file_location("second_judge_of_closedness", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


checker = _loaded()


def assert_both_accept(certificate: so.Certificate) -> None:
    """Check a certificate by both judges, in the form in which it is saved."""
    text = so.to_json(certificate)
    check = so.verify(so.from_json(text))
    assert check.ok, check
    assert checker.check(text) == ("accepted", ""), text
