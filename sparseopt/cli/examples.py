"""Examples for the help of each command."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "doctor": ("sparseopt doctor", "sparseopt doctor --verbose"),
    "analyze": (
        "sparseopt analyze model.onnx --html report.html",
        "sparseopt analyze model.onnx --fail-on warning --only support_closedness",
        "sparseopt analyze model.onnx --shape image=1,3,64,64 --json > report.json",
        "sparseopt analyze I.mtx J.mtx",
    ),
    "closedness": (
        "sparseopt closedness supports.json --explain",
        "sparseopt closedness I.npy J.npy --json | sparseopt verify -",
        "sparseopt closedness pruned.onnx --fail-on warning",
    ),
    "compare": (
        "sparseopt compare model.onnx pruned.onnx --lower 0 --upper 1",
        "sparseopt compare model.onnx small.onnx --lower -3 --upper 3 --json",
    ),
    "factorize": (
        "sparseopt factorize A.npy --architecture square-dyadic -o factors.npz",
        "sparseopt factorize A.mat --variable A --architecture monarch:8,8",
        "sparseopt factorize A.csv --architecture search:4000 -o - | sparseopt verify -",
    ),
    "quantize": (
        "sparseopt quantize solution.json --bits 8 -o rounded.json",
        "sparseopt quantize factors.safetensors --error 1e-3 -o rounded.safetensors",
        "sparseopt quantize model.onnx --format int8 --inputs batch.npy -o small.onnx",
        "sparseopt quantize model.onnx --bits 8 --shape image=1,3,64,64 -o small.onnx",
    ),
    "prune": (
        "sparseopt prune model.onnx -o pruned.onnx --ratio 0.9",
        "sparseopt prune model.onnx -o pruned.onnx --granularity 2:4 --exclude /fc",
        "sparseopt prune model.onnx -o pruned.onnx --ratio 0.8 --rounds 5 --closed",
        "sparseopt prune detector.onnx -o backbone.onnx --shape image=1,3,64,64 --until features",
    ),
    "canonicalize": ("sparseopt canonicalize model.onnx -o canonical.onnx",),
    "rescale": (
        "sparseopt rescale model.onnx -o rescaled.onnx --seed 1",
        "sparseopt rescale model.onnx -o rescaled.onnx --factors factors.npy",
    ),
    "compress": ("sparseopt compress model.onnx -o small.onnx --ratio 0.5 --max-error 0.1",),
    "repair": (
        "sparseopt repair supports.json -o closed.npz --allow both",
        "sparseopt repair pruned.onnx -o closed.onnx",
    ),
    "verify": (
        "sparseopt verify solution.json",
        "sparseopt analyze model.onnx --json | sparseopt verify -",
        "sparseopt verify report.json --allow z3",
    ),
}


def epilog(command: str) -> str:
    """Return what the help of a command ends with, its lines as they are."""
    lines = EXAMPLES.get(command, ())
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
