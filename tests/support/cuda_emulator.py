"""Kernels of CUDA C++ on a processor: compiled by g++ against tests/plugins/cupy/emulator.

Used as a device would be: source, name of the function, grid, block, arguments. What comes back are
the faults that a device would hide, and the bytes that the kernel asked for.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "tests" / "plugins" / "cupy" / "emulator"
CACHE = ROOT / ".pytest_cache" / "emulated"
BEGINS, ENDS = "// begin device.cuh\n", "// end device.cuh\n"
INSTANTIATION = "// instantiation\n"
# So many instantiations share a file: reading the templates takes as long as one of them.
_BATCH = 12
# Sums are as written: nothing is fused but what says so, as nothing is reordered.
FLAGS = ("-std=c++17", "-Og", "-fPIC", "-fno-gnu-unique", "-ffp-contract=off", "-w")
_ARRAYS = 16


@dataclass(frozen=True)
class Counts:
    """What the emulator saw in one launch.

    Attributes
    ----------
    races : int
        Accesses of shared memory that another thread's write makes uncertain, or that make another
        thread's read uncertain, since the last barrier; entries of global arrays that two threads
        wrote.
    out_of_bounds, misaligned : int
        Accesses of global or shared memory outside their array, or not on a multiple of their size.
    stuck : int
        Blocks whose threads waited for each other for ever.
    loaded, stored : tuple of int
        Bytes asked for, argument by argument (0 for numbers).
    touched : tuple of int
        Bytes of each argument that were asked for at least once.
    """

    races: int
    out_of_bounds: int
    misaligned: int
    stuck: int
    loaded: tuple[int, ...]
    stored: tuple[int, ...]
    touched: tuple[int, ...]

    @property
    def loaded_bytes(self) -> int:
        """Bytes loaded from global arrays."""
        return sum(self.loaded)

    @property
    def stored_bytes(self) -> int:
        """Bytes stored to global arrays."""
        return sum(self.stored)

    @property
    def faults(self) -> int:
        """All that must not be."""
        return self.races + self.out_of_bounds + self.misaligned + self.stuck


class _Dim(ctypes.Structure):
    _fields_ = (("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint))


class _Given(ctypes.Structure):
    _fields_ = (
        ("pointer", ctypes.c_void_p),
        ("bytes", ctypes.c_longlong),
        ("integer", ctypes.c_longlong),
        ("real", ctypes.c_double),
    )


class _Counts(ctypes.Structure):
    _fields_ = (
        ("numbers", ctypes.c_longlong * 4),
        ("loaded", ctypes.c_longlong * _ARRAYS),
        ("stored", ctypes.c_longlong * _ARRAYS),
        ("touched", ctypes.c_longlong * _ARRAYS),
    )


def compiler() -> str | None:
    """Return the compiler, or None where there is none."""
    return shutil.which("g++")


def emulate(
    source: str,
    name: str,
    grid: Sequence[int],
    block: Sequence[int],
    arguments: Sequence[Any],
    shared_bytes: int = 0,
) -> Counts:
    """Run a kernel on NumPy arrays, which it changes in place.

    Parameters
    ----------
    source : str
        The text that NVRTC would get.
    name : str
        The function, declared extern "C" and not overloaded.
    grid, block : up to three integers
    arguments : arrays, integers, floats
        In order. Arrays are C-contiguous; integers arrive as long long, floats as double.
    shared_bytes : int
        Dynamic shared memory.
    """
    library = _library(source, name)
    given = (_Given * len(arguments))(*map(_given, arguments))
    counts = _Counts()
    failed = getattr(library, f"emulate_{name}")(
        given,
        len(arguments),
        ctypes.byref(_dim(grid)),
        ctypes.byref(_dim(block)),
        int(shared_bytes),
        ctypes.byref(counts),
    )
    if failed:
        raise TypeError(f"{name}: the arguments are not those of the kernel: {arguments!r}")
    count = len(arguments)
    return Counts(
        *counts.numbers,
        loaded=tuple(counts.loaded[:count]),
        stored=tuple(counts.stored[:count]),
        touched=tuple(counts.touched[:count]),
    )


def build(kernels: Iterable[tuple[str, str]]) -> None:
    """Compile kernels, (source, name) each, many at a time; later `emulate` finds them.

    Sources that are equal up to a line ``// instantiation`` go into one file. What any process has
    compiled before is not compiled again.
    """
    by_head: dict[str, list[tuple[str, str]]] = {}
    for source, name in dict.fromkeys(kernels):
        if not _place(source, name).exists():
            by_head.setdefault(source.split(INSTANTIATION)[0], []).append((source, name))
    batches = [
        group[k : k + _BATCH] for group in by_head.values() for k in range(0, len(group), _BATCH)
    ]
    if batches:
        machine = _machine()
        with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            list(pool.map(lambda batch: _compile_batch(batch, machine), batches))


def _compile_batch(kernels: Sequence[tuple[str, str]], machine: Path) -> None:
    first, *others = (source for source, _ in kernels)
    text = "\n".join([first, *(source.split(INSTANTIATION)[1] for source in others)])
    places = [_place(source, name) for source, name in kernels]
    text = _emulated(text, [name for _, name in kernels])
    _compile(text, ["-shared", f"-I{FOLDER}", str(machine)], places)


@lru_cache(maxsize=4096)
def _library(source: str, name: str) -> ctypes.CDLL:
    build([(source, name)])
    return ctypes.CDLL(str(_place(source, name)))


def _dim(sizes: Sequence[int]) -> _Dim:
    padded = [*map(int, sizes), 1, 1][:3]
    if min(padded) < 1:
        raise ValueError(f"a grid or block of {tuple(sizes)} cannot be launched")
    return _Dim(*padded)


def _given(value: Any) -> _Given:
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError("arrays must be C-contiguous")
        return _Given(value.ctypes.data, value.nbytes, 0, 0.0)
    if isinstance(value, int | np.integer):
        return _Given(None, -1, int(value), 0.0)
    return _Given(None, -2, 0, float(value))


@lru_cache(maxsize=1)
def _beside() -> str:
    """Return all that goes into a library beside its kernels."""
    texts = [(FOLDER / name).read_text(encoding="utf-8") for name in ("device.cuh", "emulator.cpp")]
    version = subprocess.run([str(compiler()), "--version"], capture_output=True, check=True)
    return "".join([*texts, repr(FLAGS), version.stdout.decode()])


@lru_cache(maxsize=4096)
def _place(source: str, name: str) -> Path:
    """Return where the library with a kernel lies, once it is compiled."""
    key = hashlib.sha256("\n".join([_beside(), name, source]).encode()).hexdigest()[:24]
    return CACHE / f"{key}.so"


def _machine() -> Path:
    """Return the compiled machine, which every library holds."""
    place = CACHE / f"{hashlib.sha256(_beside().encode()).hexdigest()[:24]}.o"
    if not place.exists():
        text = (FOLDER / "emulator.cpp").read_text(encoding="utf-8")
        _compile(text, ["-O2", "-c", f"-I{FOLDER}"], [place])
    return place


def _emulated(source: str, names: Sequence[str]) -> str:
    """Return the source with the emulated machine in place of the device."""
    before, rest = source.split(BEGINS)
    _, after = rest.split(ENDS)
    entries = [
        f'extern "C" int emulate_{name}(const emulator::Given* given, int count, const Dim* grid, '
        f"const Dim* block, int bytes, emulator::Counts* out) {{\n"
        f"    return emulator::launch({name}, given, count, grid, block, bytes, out);\n}}\n"
        for name in names
    ]
    return "\n".join([before, '#include "device.cuh"', after, *entries])


def _compile(text: str, words: Sequence[str], places: Sequence[Path]) -> None:
    """Compile a text to one file that is found at several places."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        written, made = Path(folder) / "kernel.cpp", Path(folder) / "made"
        written.write_text(text, encoding="utf-8")
        command = [str(compiler()), *FLAGS, *words, str(written), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr[:4000]}")
        for k, place in enumerate(places):
            link = Path(folder) / str(k)
            os.link(made, link)
            os.replace(link, place)  # whole or not at all, also with several processes
