"""The text of kernels: CUDA C++ for NVRTC, one string per kernel, without a file beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files

_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"\n', re.MULTILINE)
# Around the text of device.cuh, so that a test can put another machine in its place.
DEVICE_BEGINS, DEVICE_ENDS = "// begin device.cuh\n", "// end device.cuh\n"
# Between the templates and the instantiation.
INSTANTIATION = "// instantiation\n"
# Options of NVRTC; the architecture comes on top.
OPTIONS = ("--std=c++17",)


@lru_cache(maxsize=64)
def inlined(header: str) -> str:
    """Return a header with what it includes in front, each once."""
    parts: list[str] = []
    seen: set[str] = set()

    def add(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        text = files("sparseopt_cupy.kernels").joinpath(name).read_text(encoding="utf-8")
        for included in _INCLUDE.findall(text):
            add(included)
        text = _INCLUDE.sub("", text).replace("#pragma once\n", "")
        if name == "device.cuh":
            text = f"{DEVICE_BEGINS}{text}{DEVICE_ENDS}"
        parts.append(text)

    add(header)
    return "\n".join(parts)


@dataclass(frozen=True)
class Kernel:
    """One instantiation of a template.

    Parameters
    ----------
    header : str
        The file of the template.
    struct : str
        The template, whose static function `run` is the body.
    parameters : tuple
        Of the template: names of C++ types and enumerators, integers, truth values.
    signature : tuple of (str, str)
        C++ type and name of every argument, in order.
    threads : int
        The most threads of a block.
    shared_bytes : int
        Dynamic shared memory of a block.
    resident : int
        Blocks that one multiprocessor is to hold at once: a bound on the registers of a thread.
    asserted : bool
        Whether the template says the same of shared memory; not where sizes come at run time.

    Examples
    --------
    >>> kernel = Kernel("tiny.cuh", "TinyLast", ("float", 2, True, 4, False), (("In<float>", "x"),),
    ...                 128)
    >>> kernel.name
    'tiny_last_float_2_1_4_0'
    """

    header: str
    struct: str
    parameters: tuple[str | int | bool, ...]
    signature: tuple[tuple[str, str], ...]
    threads: int
    shared_bytes: int = 0
    resident: int = 2
    asserted: bool = True

    @cached_property
    def name(self) -> str:
        """The name of the compiled function."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", self.struct)
        values = [str(int(p) if isinstance(p, bool) else p) for p in self.parameters]
        return re.sub(r"\W+", "_", "_".join([words, *values])).strip("_").lower()

    @cached_property
    def type(self) -> str:
        """The instantiated struct, in C++."""
        values = [str(p).lower() if isinstance(p, bool) else str(p) for p in self.parameters]
        return f"{self.struct}<{', '.join(values)}>"

    def blocks_at_once(
        self, shared_bytes: int = 227 << 10, threads: int = 2048, registers: int = 0
    ) -> int:
        """Return how many blocks a multiprocessor holds, by threads and shared memory.

        Registers suffice for `resident` of them, and often for more: how many, by what a compiler
        says that a thread takes. The system keeps 1 KiB of shared memory for each block.
        """
        found = min(threads // self.threads, shared_bytes // (self.shared_bytes + 1024), 32)
        if registers:  # each warp has them by 256
            warps = (64 << 10) // (-(-registers * 32 // 256) * 256)
            found = min(found, warps // -(-self.threads // 32))
        return found

    @cached_property
    def source(self) -> str:
        """The text to compile; its one function is `name`."""
        typed = ", ".join(f"{kind} {name}" for kind, name in self.signature)
        names = ", ".join(name for _, name in self.signature)
        asserted = ""
        if self.shared_bytes and self.asserted:
            asserted = (
                f'static_assert({self.type}::SHARED == {self.shared_bytes}, "as launched");\n'
            )
        return (
            f"{inlined(self.header)}\n{INSTANTIATION}{asserted}"
            f'extern "C" __global__ void __launch_bounds__({self.threads}, {self.resident})\n'
            f"{self.name}({typed}) {{\n    {self.type}::run({names});\n}}\n"
        )
