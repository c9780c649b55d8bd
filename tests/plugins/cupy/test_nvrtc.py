"""Every default instantiation compiles for the devices in use, without spills, within a budget."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache

import nvrtc
import pytest
from sparseopt_cupy import kernel_table
from sparseopt_cupy.kernels.launches import SHARED_LIMIT, Launch
from sparseopt_cupy.kernels.sources import Kernel

pytestmark = pytest.mark.skipif(
    nvrtc.library() is None, reason="the wheel nvidia-cuda-nvrtc is not installed"
)

# CuPy adds the second to whatever it compiles: subnormal float32 numbers count as zero.
AS_CUPY = (*kernel_table.OPTIONS, "-ftz=true")
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
REGISTERS = 64 << 10  # of a multiprocessor
SHARED_OF_TWO = 80 << 10  # of a block; more of it leaves room for one
KINDS = [
    ("float32", "ieee"),
    ("float32", "tf32"),
    ("float32", "tf32x3"),
    ("float16", "ieee"),
    ("bfloat16", "ieee"),
    ("float64", "ieee"),
    ("complex64", "ieee"),
    ("complex128", "ieee"),
]


def all_launches() -> Iterator[Launch]:
    """What the table chooses for aligned operands: all tiles, layouts, data types, precisions."""
    for dtype, precision in KINDS:
        for layout in ("last", "first"):
            common = {"layout": layout}
            for b in (16, 32, 64, 128):
                for d in (1, 2, 4, 64):
                    if layout == "last" and d > 1:
                        continue
                    for n in (32, 4096):
                        given = ((2, b, b, d), n, dtype)
                        more = {**common, "precision": precision, "order": "adbc"}
                        yield from kernel_table.factor(*given, **more)
                        yield from kernel_table.weight_gradient(*given, **more)
                        # Layers leave factors as they lie, and read them transposed for dx.
                        more = {**common, "precision": precision, "order": "abcd"}
                        complex_too = {"conjugated": dtype.startswith("complex")}
                        yield from kernel_table.factor(*given, **more)
                        yield from kernel_table.factor(
                            *given, **more, transposed=True, **complex_too
                        )
            if precision != "ieee":
                continue
            for b, c in ((1, 1), (2, 2), (4, 4), (8, 8), (2, 64), (16, 3), (12, 64), (64, 12)):
                yield from kernel_table.factor((2, b, c, 64), 4096, dtype, **common)
                yield from kernel_table.weight_gradient((2, b, c, 64), 4096, dtype, **common)
            longest = kernel_table.longest_run(dtype, layout)
            for run in (1, 4, 7, longest):
                yield from kernel_table.fused_pairs(1, 64, run, 4096, dtype, **common)
                yield from kernel_table.fused_pairs(1, 1, run, 4096, dtype, **common)
            for d in (1, 16):
                steps = [(1, 16, 16, 16 * d), (16, 16, 16, d)]
                yield from kernel_table.fused_chain(steps, 4096, dtype, **common)
        if dtype in ("float32", "float64", "complex64", "complex128") and precision == "ieee":
            for b, c in ((2, 1), (2, 8), (2, 512), (2, 4096), (3, 4), (8, 64), (16, 1024)):
                yield from kernel_table.rank_one(b, c, 64, 64, dtype)
            for c in (2, 16, 256, 1024 if dtype == "complex128" else 2048):
                yield from kernel_table.rank_one_twice(c, 64, 64, dtype)


@lru_cache(maxsize=1)
def kernels() -> tuple[Kernel, ...]:
    return tuple({launch.kernel.name: launch.kernel for launch in all_launches()}.values())


def few() -> list[tuple[Kernel, str]]:
    """One kernel of each template, arithmetic and layout, and all architectures among them."""
    first: dict[tuple[object, ...], Kernel] = {}
    for kernel in kernels():
        kinds = [p for p in kernel.parameters[1:3] if isinstance(p, str) and p.isupper()]
        first.setdefault((kernel.struct, *kinds), kernel)
    return [(kernel, ARCHITECTURES[k % 3]) for k, kernel in enumerate(first.values())]


def require_budget(kernel: Kernel, architecture: str) -> nvrtc.Compiled:
    """No spills; registers and shared memory for as many blocks as the table counts on."""
    found = nvrtc.compile_kernel(kernel.source, kernel.name, architecture, AS_CUPY)
    words = f"{kernel.name} for {architecture}: {found.registers} registers"
    assert found.spilled == 0, f"{words}, {found.spilled} bytes spilled"
    assert found.stack == 0, f"{words}, {found.stack} bytes of local memory"
    assert found.shared == 0, words
    assert found.registers <= 255, words
    assert -(-found.registers // 8) * 8 * kernel.threads * kernel.resident <= REGISTERS, words
    assert kernel.shared_bytes <= SHARED_LIMIT, words
    assert kernel.name.encode() in found.image
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_kernel_of_each_template_compiles(architecture: str) -> None:
    for kernel, one in few():
        if one == architecture:
            say(kernel, architecture, require_budget(kernel, architecture))


def say(kernel: Kernel, architecture: str, found: nvrtc.Compiled) -> None:
    """Print what a multiprocessor holds, by the compiler's figures; seen with -s."""
    shared = {"sm_80": 164 << 10}.get(architecture, 228 << 10)
    blocks = kernel.blocks_at_once(shared, 2048, found.registers)
    sys.stdout.write(
        f"{architecture}: {found.registers:3d} registers, {kernel.shared_bytes:6d} bytes shared, "
        f"{blocks:2d} blocks, {blocks * kernel.threads / 2048:4.0%} of the threads: {kernel.name}\n"
    )
    # Registers suffice for all blocks that they are bounded for, shared memory for two at least.
    assert kernel.blocks_at_once(1 << 30, 2048, found.registers) >= kernel.resident
    assert blocks >= min(2, kernel.resident) or kernel.shared_bytes > SHARED_OF_TWO


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_instantiation_compiles_within_its_budget(architecture: str) -> None:
    for kernel in kernels():
        say(kernel, architecture, require_budget(kernel, architecture))


def test_tensor_cores_are_used_where_they_are_asked_for() -> None:
    """The text of PTX names the instruction; without it a kernel would be slow and right."""
    for precision, dtype, instruction in (
        ("tf32", "float32", "mma.sync.aligned.m16n8k8.row.col.f32.tf32"),
        ("ieee", "float16", "mma.sync.aligned.m16n8k16.row.col.f32.f16"),
        ("ieee", "bfloat16", "mma.sync.aligned.m16n8k16.row.col.f32.bf16"),
    ):
        (launch,) = kernel_table.factor((2, 64, 64, 1), 4096, dtype, precision=precision)
        text = nvrtc.ptx(launch.kernel.source, "compute_80", AS_CUPY)
        assert instruction in text
        assert "cp.async.cg.shared.global" in text


def test_a_fault_in_the_text_is_said() -> None:
    kernel = kernels()[0]
    broken = kernel.source.replace('extern "C"', "nonsense")
    with pytest.raises(RuntimeError, match="nonsense"):
        nvrtc.compile_kernel(broken, kernel.name, "sm_90", AS_CUPY)
