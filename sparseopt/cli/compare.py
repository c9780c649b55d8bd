"""``sparseopt compare A B --lower 0 --upper 1``: how far two networks differ on a box of inputs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import parse_options, progress_display, say, say_json
from sparseopt.cli.network_source import SUFFIXES, network_or_file
from sparseopt.cli.streams import STREAM, taken
from sparseopt.judging.rounding import shown_above, shown_below
from sparseopt.tools.change_ends import box_in_words

_MOST_OUTPUTS = 20
_FAR = 2.0
_TIGHTEST = "backward_substitution"


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
    if found is not None and answer.l1 > _FAR * found.l1 and solution.solver != _TIGHTEST:
        lines.append(f"bounds may be far above: --solver {_TIGHTEST} takes longer and gets nearer")
    return [*lines, f"status: {solution.status.name}"]


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
