"""Targets and networks larger than the memory they may take: seconds and peaks of RssAnon.

Anonymous memory is what a process holds beside the pages of mapped files, which the system takes
back when it needs them. Each row runs in this process; run one kind at a time:

    python benchmarks/larger_than_memory.py factorize 32768
    python benchmarks/larger_than_memory.py factorize 32768 --stored zarr
    python benchmarks/larger_than_memory.py network 8192 16
    python benchmarks/larger_than_memory.py network 8192 16 --stored safetensors
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so


def anonymous() -> int:
    """Return the anonymous memory of this process in bytes."""
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(1024 * int(x.split()[1]) for x in lines if x.startswith("RssAnon"))


def measured(name: str, run: Callable[[], Any]) -> Any:
    """Run a function; print its seconds and the peak of the whole process."""
    peak, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    done.set()
    thread.join()
    print(f"{name:32} {seconds:8.1f} s   peak {peak[0] / 2**20:8.1f} MiB", flush=True)
    return result


def stored(folder: Path, n: int, scale: float, kind: str) -> Any:
    """Return a random n x n matrix of float32 in storage: a map, or zarr's or h5py's array."""
    path, rng = folder / f"target.{kind}", np.random.default_rng(0)
    chunks = min(n, 512), min(n, 512)
    made: Any
    if kind == "zarr":
        import zarr

        made = zarr.create_array(str(path), shape=(n, n), chunks=chunks, dtype="f4")
    elif kind == "h5py":
        import h5py

        made = h5py.File(path, "w").create_dataset("A", (n, n), "f4", chunks=chunks)
    else:
        made = np.lib.format.open_memmap(path, "w+", np.float32, (n, n))
    for start in range(0, n, chunks[0]):
        block = rng.standard_normal((min(chunks[0], n - start), n), dtype=np.float32)
        made[start : start + chunks[0]] = block * np.float32(scale)
    if kind == "h5py":
        made.file.flush()
    if kind == "npy":
        del made
        made = np.load(path, mmap_mode="r")
    print(f"target of {made.nbytes / 2**30:.3g} GiB in {kind}, entries of size {scale:g}")
    return made


def factorize(folder: Path, n: int, scale: float, kind: str) -> None:
    """Factorize a random n x n matrix of float32 in storage, and check it again."""
    target = stored(folder, n, scale, kind)
    architecture = so.Architecture.square_dyadic(n)
    problem = measured("state", lambda: so.ButterflyFactorization(target, architecture))
    print(so.plan(problem))
    solution = measured("solve, error checked", lambda: so.solve(problem))
    print(f"  {solution.solver}, relative error {solution.certificate.relative_error:.6f}")
    check = measured("verify", lambda: so.verify(solution))
    print(f"  {check.outcome}")


def chain(folder: Path, width: int, count: int) -> Path:
    """Write a chain of two convolutions and `count` dense layers, weights in one other file."""
    from onnx import TensorProto, helper

    rng, side = np.random.default_rng(0), 16
    channels = width // side**2
    tensors: list[Any] = []
    with open(folder / "weights.bin", "wb") as file:

        def tensor(name: str, *shape: int) -> str:
            held = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
            held.data_location = TensorProto.EXTERNAL
            entries = ("location", "weights.bin"), ("offset", str(file.tell()))
            for key, value in entries:
                held.external_data.add(key=key, value=value)
            size = np.float32(1.0 / math.sqrt(math.prod(shape[1:])))
            for _ in range(shape[0]):
                (rng.standard_normal(shape[1:], dtype=np.float32) * size).tofile(file)
            tensors.append(held)
            return name

        nodes, last = [], "x"
        for i in range(2):
            kernel = tensor(f"k{i}", channels, channels, 3, 3)
            nodes.append(helper.make_node("Conv", [last, kernel], [f"c{i}"], pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Relu", [f"c{i}"], [f"image{i}"]))
            last = f"image{i}"
        nodes.append(helper.make_node("Flatten", [last], ["flat"]))
        last = "flat"
        for i in range(count):
            weight = tensor(f"w{i}", width, width)
            nodes.append(helper.make_node("Gemm", [last, weight], [f"g{i}"], transB=1))
            nodes.append(helper.make_node("Relu", [f"g{i}"], [f"r{i}"]))
            last = f"r{i}"
        nodes.append(helper.make_node("Gemm", [last, tensor("w", 10, width)], ["y"], transB=1))
    shape = [1, channels, side, side]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    end = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(nodes, "chain", [given], [end], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    print(f"weights of {(folder / 'weights.bin').stat().st_size / 2**30:.3g} GiB")
    return path


def module(width: int, count: int) -> Any:
    """Return the same chain as a module of PyTorch without numbers."""
    import torch
    from torch import nn

    side = 16
    channels = width // side**2
    with torch.device("meta"):
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.ReLU()]
        layers.append(nn.Flatten())
        for _ in range(count):
            layers += [nn.Linear(width, width, bias=False), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 10, bias=False)).eval()


def load_weights(folder: Path, width: int, count: int) -> Callable[[], so.Network]:
    """Write weights of `module` as safetensors, one layer at a time; return how to load them."""
    import torch

    made, rng, end = module(width, count), np.random.default_rng(0), 0
    header: dict[str, Any] = {}
    for name, held in made.state_dict().items():
        begin, end = end, end + 4 * held.numel()
        offsets = [begin, end]
        header[name] = {"dtype": "F32", "shape": list(held.shape), "data_offsets": offsets}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path = folder / "net.safetensors"
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for held in made.state_dict().values():
            size = np.float32(1.0 / math.sqrt(math.prod(held.shape[1:])))
            for _ in range(held.shape[0]):
                row = rng.standard_normal(tuple(held.shape[1:]), dtype=np.float32)
                (row * size).tofile(file)
    print(f"weights of {path.stat().st_size / 2**30:.3g} GiB")
    example = torch.zeros(1, width // 256, 16, 16)
    return lambda: so.load_network(made, example, weights=path)


def network(folder: Path, width: int, count: int, kind: str) -> None:
    """Path-norm and Lipschitz bounds of a chain of layers, checks included."""
    if kind == "safetensors":
        load = load_weights(folder, width, count)
    else:
        path = chain(folder, width, count)

        def load() -> so.Network:
            return so.load_network(path)

    loaded = measured("load", load)
    print(f"  {loaded.describe()}; {'; '.join(loaded.notes)}")
    norm = measured("L1 path-norm", lambda: so.solve(so.PathNorm(loaded)))
    print(f"  10^{norm.answer.log10:.12g}, {norm.status.name}")
    bound = measured("Lipschitz, inf -> 1", lambda: so.solve(so.LipschitzBound(loaded)))
    print(f"  10^{bound.answer.log10:.12g}, {bound.status.name}")
    bound = measured("Lipschitz, 1 -> 1", lambda: so.solve(so.LipschitzBound(loaded, 1)))
    print(f"  10^{bound.answer.log10:.12g}, {bound.status.name}")


_STORED = {"factorize": ("npy", "zarr", "h5py"), "network": ("onnx", "safetensors")}


def main() -> None:
    """Run one kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("factorize", "network"))
    parser.add_argument("sizes", type=int, nargs="+", help="n, or width and layers")
    parser.add_argument("--stored", help="npy, zarr or h5py; onnx or safetensors")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the target's entries")
    parser.add_argument("--folder", help="where the files go, some GiB; deleted afterwards")
    given = parser.parse_args()
    kind = given.stored or _STORED[given.kind][0]
    if kind not in _STORED[given.kind]:
        parser.error(f"--stored takes {' or '.join(_STORED[given.kind])} here")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        if given.kind == "factorize":
            factorize(Path(folder), given.sizes[0], given.scale, kind)
        else:
            network(Path(folder), *given.sizes, kind)


if __name__ == "__main__":
    main()
