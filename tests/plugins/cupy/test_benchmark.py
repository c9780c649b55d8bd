"""The one command of a machine with a device, on one without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cuda_emulator import compiler

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent.parent


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "gpu.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


def test_every_line_of_it_runs() -> None:
    if compiler() is None:
        pytest.skip("g++ is not installed")
    done = run("--dry")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no figure of it means anything" in done.stdout
    assert done.stdout.count("table factors") == 20
    assert "goals" in done.stdout


def test_a_dry_run_keeps_no_figures(tmp_path: Path) -> None:
    done = run("--dry", "--output", str(tmp_path / "figures.json"))
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())
