"""The one command of a machine with a device, on one without."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_emulator import compiler

import sparseopt as so

ROOT = Path(__file__).parent.parent.parent.parent


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "gpu.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


@pytest.mark.parametrize("pattern", [(2, 4, 8, 3), (3, 8, 4, 1), (1, 12, 16, 2), (4, 5, 3, 2)])
def test_peers_multiply_by_the_same_matrix(
    pattern: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    peers = importlib.import_module("gpu_peers")
    w = torch.randn(*pattern)
    dense = torch.from_numpy(so.KroneckerPattern(*pattern).dense(w.numpy()))
    x = torch.randn(dense.shape[1], 7)
    found = peers.peers(w, first=False)
    wanted = {"bmm", "bmm0", "einsum", "csr", "dense"} | ({"bsr"} if pattern[1] != 5 else set())
    assert set(found) == wanted
    for name, work in found.items():
        assert torch.allclose(work(x), dense @ x, atol=1e-5), name
    for name, work in peers.peers(w, first=True).items():
        assert torch.allclose(work(x.T.contiguous()), (dense @ x).T, atol=1e-5), name


def test_no_energy_is_told_where_nothing_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    assert importlib.import_module("gpu_peers").Energy("no such device").joules() is None


@pytest.mark.slow
def test_every_line_of_it_runs() -> None:
    if compiler() is None:
        pytest.skip("g++ is not installed")
    done = run("--dry")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no figure of it means anything" in done.stdout
    assert done.stdout.count("table factors") == 20
    assert "goals" in done.stdout


@pytest.mark.slow
def test_a_dry_run_keeps_no_figures(tmp_path: Path) -> None:
    done = run("--dry", "--output", str(tmp_path / "figures.json"))
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())
