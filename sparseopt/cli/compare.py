"""``sparseopt compare A B --lower 0 --upper 1``: how far two networks differ on a box of inputs."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import numpy as np
import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import parse_options, progress_display, say, say_json
from sparseopt.cli.network_source import SUFFIXES, network_or_file
from sparseopt.cli.streams import STREAM, taken
from sparseopt.guarantees.layers import partner
from sparseopt.judging.rounding import shown_above, shown_below
from sparseopt.tools.change_ends import box_in_words

_MOST_OUTPUTS = 20
_FAR = 2.0
_TIGHTEST = "backward_substitution"
_RESCALED = (
    "most of the difference of the weights is a rescaling of hidden units: it moves no output, but "
    "loosens these bounds; compare what `sparseopt quantize --rescaling none` writes, or take the "
    "bound that quantize itself proves"
)


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A network (.onnx, .pt2); - is standard input.")
    ],
    second: Annotated[
        str, typer.Argument(metavar="B", help="The same layers with other parameters; or -.")
    ],
    lower: Annotated[float, typer.Option(help="Of each entry of the input: the least value.")],
    upper: Annotated[float, typer.Option(help="Of each entry of the input: the largest value.")],
    starts: Annotated[
        int, typer.Option(help="Points from which inputs of large change are looked for; 0: none.")
    ] = 64,
    shape: opt.InputShape = None,
    outputs: opt.OutputName = None,
    until: opt.Until = None,
    solver: opt.SolverName = None,
    option: opt.SolverOption = None,
    block: opt.Block = None,
    prefer: opt.Prefer = None,
    seed: opt.Seed = None,
    time_limit: opt.TimeLimit = None,
    plan: opt.ShowPlan = False,
    json: opt.Json = False,
) -> None:
    """Prove how far the outputs of two networks differ at most, and show how far at least.

    Their layers are the same, their parameters are not: before and after pruning or rounding.

    Where hidden units are rescaled, as quantize does by default, the bounds may be far too large:
    compare what quantize --rescaling none writes, or take the bound that quantize itself proves.
    """
    if starts < 0:
        raise so.ProblemError(f"--starts must be at least 0, got {starts}")
    if first == second == STREAM:
        raise so.ProblemError("- stands for one file; give it once")
    network, other = (_network(taken(file), shape, outputs, until) for file in (first, second))
    problem = so.OutputChange(network, other, lower, upper)
    settings: dict[str, Any] = {
        "time_limit": time_limit,
        "block": block or (),
        "prefer": prefer or (),
        **parse_options(option or ()),
    }
    with progress_display(not json) as progress:
        solution = so.solve(problem, solver, seed=seed, progress=progress, **settings)
    found = None
    if starts:
        found = so.largest_change(
            network, other, lower, upper, starts=starts, seed=seed, time_limit=time_limit
        )
    if json:
        say_json(so.to_json(_document(solution, found)))
        return
    for line in _lines(problem, solution, found):
        say(line)
    # Balancing has no clock of its own, so a time limit leaves it out.
    if time_limit is None and _is_loose(solution, found) and _is_mostly_rescaled(network, other):
        say(_RESCALED)
    say(f"status: {solution.status.name}")
    if plan:
        say(str(solution.plan))


def _network(file: str, shape: Any, outputs: Any, until: str | None) -> so.Network:
    if not file.lower().endswith(SUFFIXES):
        raise so.ProblemError(f"{file!r} must end in {' or '.join(SUFFIXES)}")
    found = network_or_file(file, shape, outputs, until)
    return found if isinstance(found, so.Network) else so.load_network(found)


def _lines(
    problem: so.OutputChange, solution: so.Solution, found: so.LargestChange | None
) -> list[str]:
    """Return what is said to a person."""
    answer = solution.answer
    lines = [
        f"for inputs in {box_in_words(problem)} the outputs differ by at most "
        f"{shown_above(answer.l1, 4)} in the L1 norm (proved: {solution.solver})"
    ]
    if found is not None:
        lines.append(
            f"at one of these inputs they differ by at least {shown_below(found.l1, 4)} (proved)"
        )
    lows, highs = answer.lower.ravel().tolist(), answer.upper.ravel().tolist()
    for place, (low, high) in enumerate(zip(lows[:_MOST_OUTPUTS], highs, strict=False)):
        lines.append(f"  output {place}: from {shown_below(low, 4)} to {shown_above(high, 4)}")
    if len(lows) > _MOST_OUTPUTS:
        lines.append(f"  and {len(lows) - _MOST_OUTPUTS} more, which --json prints")
    if found is not None and _is_loose(solution, found) and solution.solver != _TIGHTEST:
        lines.append(f"bounds may be far above: --solver {_TIGHTEST} takes longer and gets nearer")
    return lines


def _is_loose(solution: so.Solution, found: so.LargestChange | None) -> bool:
    return found is None or solution.answer.l1 > _FAR * found.l1


def _is_mostly_rescaled(network: so.Network, other: so.Network) -> bool:
    """Whether weights are less than half as far apart once each network's units are balanced."""
    with suppress(so.ProblemError):  # weights that cannot be balanced within their dtype
        balanced = so.canonicalize(network), so.canonicalize(other)
        return _distance(*balanced) < _distance(network, other) / 2
    return False


def _distance(network: so.Network, other: so.Network) -> float:
    """Return how far parameters are apart, over the larger of both each, summed."""
    theirs, apart, larger = partner(network, other), 0.0, 0.0
    for node in network.nodes:
        if node.name in theirs:
            pair = [found.op.parameters() for found in (node, theirs[node.name])]
            for name in pair[0] | pair[1]:  # a bias may be missing in one
                x, y = (np.asarray(found.get(name, 0.0), dtype=np.longdouble) for found in pair)
                apart += float(np.abs(x - y).sum())
                larger += float(np.maximum(np.abs(x), np.abs(y)).sum())
    return apart / larger if larger else 0.0


def _document(solution: so.Solution, found: so.LargestChange | None) -> dict[str, Any]:
    """Return the figures and the solution, whose certificate can be verified."""
    answer = solution.answer
    return {
        "at_most": answer.l1,
        "at_least": None if found is None else found.l1,
        "lower": answer.lower.tolist(),
        "upper": answer.upper.tolist(),
        "input": None if found is None else found.x.tolist(),
        "solution": solution,
    }
