"""``sparseopt repair IN -o OUT``: closed supports near those of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import progress_display, say, say_json, say_proof
from sparseopt.cli.network_files import New, options_named, save, tell
from sparseopt.cli.network_source import Part
from sparseopt.cli.streams import (
    STREAM,
    put_arrays,
    put_text,
    require_apart,
    require_one_stream,
    taken,
)
from sparseopt.interface.printing import short
from sparseopt.networks.layers import consecutive_linear_pairs
from sparseopt.tools.pruning.criteria import CRITERIA
from sparseopt.tools.pruning.one_shot import masked
from sparseopt.tools.pruning.supports import close_supports, cut_off, pair_verdicts

_FILE = "Two supports (.json, .npy, .npz, .mat), or a network (.onnx, .pt2); - is standard input."
_OUTPUT = (
    "Of supports the solution with its proof (.json), or the closed supports (.npz); of a network "
    "the network (.onnx, .pt2, .json), never IN itself; - is standard output."
)


def repair(
    file: Annotated[str, typer.Argument(metavar="IN", help=_FILE)],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help=_OUTPUT)],
    allow: Annotated[
        str, typer.Option(help="remove, add or both: how entries may change. Networks: remove.")
    ] = "remove",
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the proof as a person would write it.")
    ] = False,
    costs: Annotated[
        str | None,
        typer.Option(help="Of networks: magnitude or path_cost of the weights, not their number."),
    ] = None,
    keep_lines: Annotated[
        bool, typer.Option("--keep-lines", help="Cut no output and no input off altogether.")
    ] = False,
    shape: opt.InputShape = None,
    output_name: opt.OutputRead = None,
    until: opt.Until = None,
    new: New = False,
    seed: opt.Seed = None,
    time_limit: opt.TimeLimit = None,
    json: opt.Json = False,
) -> None:
    """Find closed supports near those of a file, or remove weights of a network until the supports
    of every two consecutive linear layers are proven closed."""
    require_apart(output, file)
    file = taken(file)
    require_one_stream(output, json)
    streamed = output == STREAM
    part = Part(shape, output_name, until)
    part.require_network(file)
    with options_named():
        subject = part.of(file) if part.is_asked else so.read(file)
    suffix = Path(output).suffix.lower()
    if isinstance(subject, so.Closedness):
        if not streamed and suffix not in (".json", ".npz"):
            raise so.ProblemError(f"--output must end in .json or .npz, got {short(output)}")
        if costs is not None:
            raise so.ProblemError("supports have no weights, so --costs is for networks")
        problem = so.NearestClosedSupport(subject.supports, allow, keep_lines=keep_lines)
        with progress_display(not json) as progress:
            found = so.solve(problem, progress=progress, seed=seed, time_limit=time_limit)
        if not streamed:
            _print(subject, found, explain, json)
        _write(output, found)
        if not json and not streamed:
            say(f"written to {output}")
        return
    if not isinstance(subject, so.Network):
        raise so.ProblemError(f"{file!r} holds neither supports nor a network")
    if allow != "remove":
        raise so.ProblemError(f"weights of a network can only be removed, not --allow {allow}")
    if not streamed and suffix not in (".onnx", ".pt2", ".json"):
        raise so.ProblemError(f"--output must end in .onnx, .pt2 or .json, got {short(output)}")
    if costs is not None and costs not in ("magnitude", "path_cost"):
        raise so.ProblemError(f"--costs must be magnitude or path_cost, not {short(costs)}")

    def close(masks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        scores = None if costs is None else CRITERIA[costs].scores(subject, seed or 0)
        return close_supports(subject, masks, None, scores, keep_lines, time_limit)

    _repair_network(subject, file, output, new, part, json, close)


def _repair_network(
    network: so.Network,
    file: str,
    output: str,
    new: bool,
    part: Part,
    as_json: bool,
    close: Any,
) -> None:
    arrays = network.parameters()
    pairs = [pair for pair in consecutive_linear_pairs(network) if pair.is_sparse]
    names = {layer.name for pair in pairs for layer in (pair.first, pair.second)}
    masks = {f"{name}.weight": arrays[f"{name}.weight"] != 0 for name in sorted(names)}
    closed = close(masks)
    removed = {name: int(masks[name].sum() - closed[name].sum()) for name in masks}
    result = masked(network, closed)
    save(result, file, output, new, part)
    pairs_now = pair_verdicts(result)
    verdicts = {str(v.pair.first.name): v.value for v in pairs_now}
    solutions = {str(v.pair.first.name): v.solution for v in pairs_now}
    lines = [
        f"{name}: {count} of {masks[name].sum()} weights removed" for name, count in removed.items()
    ]
    lines = lines or ["there are no two consecutive linear layers, one of them with zeros"]
    if pairs:
        lines += _notes(so.plan(so.NearestClosedSupport(list(pairs[0].supports))))
    lost = cut_off(network, result)
    lines += [f"warning: {line}; --keep-lines forbids it for inputs and outputs" for line in lost]
    document = {"removed": removed, "verdicts": verdicts, "cut_off": lost, "solutions": solutions}
    tell(lines, document, output, as_json)


def _print(subject: so.Closedness, found: so.Solution, explain: bool, as_json: bool) -> None:
    if as_json:
        say_json(found.to_json())
        return
    say(str(found))
    for line in _notes(found.plan):
        say(line)
    if len(subject.supports) == 2:
        say(f"LU windows: {so.lu_window_count(subject.supports)}")
    say_proof(found.certificate.explain() if explain else str(found.answer))  # type: ignore[union-attr]


def _notes(plan: so.Plan) -> list[str]:
    """Return what the search goes without, for want of a library."""
    left_out = next((c.left_out for c in plan if c.left_out), "")
    return [f"note: {left_out}"] if left_out else []


def _write(output: str, found: Any) -> None:
    if output == STREAM or output.lower().endswith(".json"):
        put_text(output, found.to_json())
        return
    supports = [np.asarray(s, dtype=np.uint8) for s in found.answer.supports]
    put_arrays(output, dict(zip("IJ", supports, strict=True)))
