"""``sparseopt canonicalize`` and ``sparseopt rescale``: the same function, other weights."""

from __future__ import annotations

import json as json_module
import math
from typing import Annotated, Any

import numpy as np
import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import progress_display
from sparseopt.cli.network_files import New, Output, Source, load, save, tell
from sparseopt.cli.network_source import Part
from sparseopt.cli.streams import require_apart
from sparseopt.interface.printing import short
from sparseopt.judging.array_files import read_array
from sparseopt.judging.files import read_text

_FACTORS = (
    "Positive factors of the groups of units (.npy), or lists of them by layer (.json); random "
    "powers of two if left out: 1, 128 or 4096."
)


def canonicalize(
    file: Source,
    output: Output,
    p: Annotated[float, typer.Option(help="Of the norm of the weights that becomes least.")] = 2.0,
    shape: opt.InputShape = None,
    output_name: opt.OutputRead = None,
    until: opt.Until = None,
    new: New = False,
    json: opt.Json = False,
) -> None:
    """Rescale the hidden units of a network to the least norm of its weights and biases."""
    with progress_display(not json) as progress:
        context = so.Context(progress=progress)
        part = Part(shape, output_name, until)
        network = load(file, output, json, context.part(0.0, 0.3), part)
        result = so.canonicalize(network, p, progress=context.part(0.3, 1.0))
    save(result, file, output, new, part)
    before, after = _norm(network, p), _norm(result, p)
    line = f"l{p:g} norm of weights and biases: {before:.6g} before, {after:.6g} now"
    document = {"p": p, "norm_before": before, "norm_after": after, "groups": _count(network)}
    tell([line], document, output, json)


def rescale(
    file: Source,
    output: Output,
    factors: Annotated[str | None, typer.Option(help=_FACTORS)] = None,
    shape: opt.InputShape = None,
    output_name: opt.OutputRead = None,
    until: opt.Until = None,
    new: New = False,
    seed: opt.Seed = None,
    json: opt.Json = False,
) -> None:
    """Rescale the hidden units of a network; it computes the same function."""
    if factors is not None and seed is not None:
        raise so.ProblemError("--seed is for random factors; leave it or --factors out")
    require_apart(output, factors)
    part = Part(shape, output_name, until)
    network = load(file, output, json, part=part)
    given = _read(factors) if factors else so.random_factors(network, seed=seed or 0)
    result = so.rescale(network, given)
    save(result, file, output, new, part)
    count = _count(network)
    tell([f"{count} groups of units rescaled"], {"groups": count}, output, json)


def _read(file: str) -> Any:
    """Return factors of groups, or of units by layer."""
    if file.endswith(".npy"):
        return read_array(file)  # type: ignore[arg-type]
    if not file.endswith(".json"):
        raise so.ProblemError(f"--factors must end in .npy or .json, got {short(file)}")
    try:
        found = json_module.loads(read_text(file))
    except ValueError as error:
        raise so.ProblemError(f"{file!r} is not JSON: {error}") from error
    lists = found.values() if isinstance(found, dict) else [found]
    if not all(isinstance(v, list) and all(map(_is_number, v)) for v in lists):
        raise so.ProblemError(f"{file!r} must hold a list of factors, or lists by layer")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(network: so.Network) -> int:
    return so.RescalingGroups(network).count


def _norm(network: so.Network, p: float) -> float:
    """Return the l^p norm of weights and biases."""
    arrays = [np.asarray(a, dtype=np.float64).ravel() for a in network.parameters().values()]
    top = max((float(np.abs(a).max()) for a in arrays), default=0.0)
    if not top:
        return 0.0
    return top * math.pow(sum(float((np.abs(a / top) ** p).sum()) for a in arrays), 1 / p)
