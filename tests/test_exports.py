"""The public names: one table for users, type checkers and the lazy loader."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sparseopt as so


def test_every_public_name_is_there() -> None:
    assert so.__all__
    assert set(so.__all__) <= set(dir(so))
    for name in so.__all__:
        value = getattr(so, name)
        if so._HOMES[name].startswith("sparseopt."):
            assert value is getattr(importlib.import_module(so._HOMES[name]), name)


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = so.Nonsense  # type: ignore[attr-defined]


def test_every_tool_of_a_plugin_is_in_the_stub() -> None:
    from sparseopt.choosing.discovery import registry

    offered = {item.name: item.entry.path.partition(":")[0] for item in registry().tools}
    declared = {n: home for n, home in so._HOMES.items() if not home.startswith("sparseopt.")}
    assert offered == declared


@pytest.mark.slow
def test_a_misspelt_name_is_an_error_for_type_checkers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sparseopt as so\n\nso.Closednes([])\n")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert 'Module has no attribute "Closednes"' in done.stdout


def test_a_file_of_any_domain_is_read_without_importing_it_first(tmp_path: Path) -> None:
    path = tmp_path / "solution.json"
    path.write_text(so.solve(so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]])).to_json())
    code = f"import sparseopt as so; print(so.verify({str(path)!r}).ok)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
