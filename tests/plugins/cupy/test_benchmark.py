"""The one command of a machine with a device, on one without."""

from __future__ import annotations

import ctypes
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


@pytest.mark.filterwarnings("ignore")
def test_lazylinop_multiplies_by_the_same_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the adapter of the benchmark, by its NumPy backend."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("lazylinop", reason="lazylinop is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    w, x = torch.randn(2, 4, 8, 3), torch.randn(48, 5)
    work = importlib.import_module("gpu_peers").lazylinop(w)
    expected = so.KroneckerProduct([w], [(2, 4, 8, 3)]).one_by_one(x)
    assert torch.allclose(torch.from_dlpack(work(x)), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_torch_structured_multiplies_as_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values are its own; what it takes and gives has the benchmark's shape."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("torch_structured", reason="torch-structured is not installed")
    pytest.importorskip("triton", reason="triton, which torch-structured needs, is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    x = torch.randn(3, 16)
    y = importlib.import_module("gpu_peers").torch_structured(16, x)(x)
    assert y.shape == x.shape


def test_peers_that_are_not_installed_are_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    peers = importlib.import_module("gpu_peers")
    for name in ("lazylinop", "torch_structured"):
        monkeypatch.setitem(sys.modules, name, None)
        for loaded in [m for m in sys.modules if m.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, loaded)
    assert peers.lazylinop(torch.ones(1, 2, 2, 1)) is None
    assert peers.torch_structured(4, torch.ones(1, 4)) is None
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("lazylinop does not run: ModuleNotFoundError")
    assert said[1].startswith("torch-structured does not run: ModuleNotFoundError")


NVML = """
#include <string.h>
extern "C" int nvmlInit_v2() { return INIT; }
extern "C" int nvmlDeviceGetHandleByUUID(const char* name, void** device) {
    if (strcmp(name, "GPU-12") != 0) return 2;
    *device = (void*)0x123456789abcdef0;
    return 0;
}
extern "C" int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* count) {
    if (device != (void*)0x123456789abcdef0) return 3;
    *count = 5000000000ull;
    return 0;
}
"""


def test_energy_is_asked_for_as_nvml_documents_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library of the same functions; handles and counts have 64 bits."""
    pytest.importorskip("torch")
    if compiler() is None:
        pytest.skip("g++ is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    peers = importlib.import_module("gpu_peers")
    load = ctypes.CDLL
    for fails, name, joules in (
        (0, "12", 5e6),
        (0, "GPU-12", 5e6),
        (0, "13", None),
        (1, "12", None),
    ):
        source, made = tmp_path / "nvml.cpp", tmp_path / f"nvml{fails}.so"
        source.write_text(NVML.replace("INIT", str(fails)))
        words = ["-shared", "-fPIC", str(source), "-o", str(made)]
        subprocess.run([str(compiler()), *words], check=True, timeout=100)
        monkeypatch.setattr(peers.ctypes, "CDLL", lambda _, made=made: load(str(made)))
        assert peers.Energy(name).joules() == joules

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(peers.ctypes, "CDLL", missing)
    assert peers.Energy("12").joules() is None


@pytest.mark.slow
def test_every_line_of_it_runs() -> None:
    if compiler() is None:
        pytest.skip("g++ is not installed")
    done = run("--dry")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no figure of it means anything" in done.stdout
    assert done.stdout.count("table factors") == 20
    assert "| case | goal | predicted |" in done.stdout


@pytest.mark.slow
def test_a_dry_run_keeps_no_figures(tmp_path: Path) -> None:
    done = run("--dry", "--output", str(tmp_path / "figures.json"))
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())
