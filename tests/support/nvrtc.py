"""NVIDIA's run-time compiler by ctypes, from the wheel nvidia-cuda-nvrtc: it needs no device."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Compiled:
    """What the compiler says of one kernel.

    Attributes
    ----------
    registers : int
        Per thread.
    spilled : int
        Bytes stored to and loaded from memory for want of registers.
    stack : int
        Bytes of local memory.
    shared : int
        Bytes of static shared memory.
    image : bytes
        The binary for the device.
    """

    registers: int
    spilled: int
    stack: int
    shared: int
    image: bytes


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """Return the compiler, or None where the wheel is not installed."""
    found = importlib.util.find_spec("nvidia")
    for folder in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.1?")):
            for part in path.parent.glob("libnvrtc-builtins.so.*"):
                ctypes.CDLL(str(part))  # which 13.0 does not look for beside itself
            return ctypes.CDLL(str(path))
    return None


def compile_kernel(source: str, name: str, architecture: str, options: tuple[str, ...]) -> Compiled:
    """Compile for a device such as "sm_90".

    Raises
    ------
    RuntimeError
        With the compiler's log.
    """
    words = (*options, f"--gpu-architecture={architecture}", "--ptxas-options=-v")
    log, image = _compile(source, words, "CUBIN")
    return _read(log, image)


def ptx(source: str, architecture: str, options: tuple[str, ...]) -> str:
    """Return the text of PTX for an architecture such as "compute_80"."""
    words = (*options, f"--gpu-architecture={architecture}")
    return _compile(source, words, "PTX")[1].decode(errors="replace")


def _compile(source: str, words: tuple[str, ...], what: str) -> tuple[str, bytes]:
    nvrtc = library()
    assert nvrtc is not None
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    given = (ctypes.c_char_p * len(words))(*[word.encode() for word in words])
    failed = nvrtc.nvrtcCompileProgram(program, len(words), given)
    log = _text(nvrtc, program, "ProgramLog").decode(errors="replace")
    image = b"" if failed else _text(nvrtc, program, what)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise RuntimeError(f"{' '.join(words)}: {log}")
    return log, image


def _text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(max(1, size.value))
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


def _read(log: str, image: bytes) -> Compiled:
    def number(pattern: str) -> int:
        found = re.search(pattern, log)
        return int(found[1]) if found else 0

    registers = number(r"Used (\d+) registers")
    if not registers:
        raise RuntimeError(f"the compiler says nothing of registers: {log}")
    return Compiled(
        registers,
        number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        number(r"(\d+) bytes stack frame"),
        number(r"(\d+) bytes smem"),
        image,
    )
