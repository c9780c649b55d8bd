"""The page of operators says what the readers do."""

from __future__ import annotations

import operator_table
import pytest
from sparseopt_onnx import reader as onnx_reader
from sparseopt_torch import conversion


def test_the_page_is_that_of_the_rules() -> None:
    assert operator_table.PAGE.read_text(encoding="utf-8") == operator_table.page(), (
        "write it anew by: python tests/support/operator_table.py"
    )


@pytest.mark.parametrize("table", [onnx_reader.OPERATORS, conversion.OPERATORS])
def test_every_rule_says_what_it_reads(table: dict[str, object]) -> None:
    assert [name for name, rule in table.items() if not rule.__doc__] == []


@pytest.mark.parametrize("module", [onnx_reader, conversion])
def test_no_operator_is_both_read_and_refused(module: object) -> None:
    assert set(module.OPERATORS) & set(module.REASONS) == set()  # type: ignore[attr-defined]
