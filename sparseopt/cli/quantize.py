"""``sparseopt quantize FILE``: a product of sparse factors in numbers of few bits."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import parse_options, print_solution, progress_display, say
from sparseopt.cli.network_files import New
from sparseopt.cli.network_source import Part
from sparseopt.cli.product_files import read_product, require_output, write_product
from sparseopt.cli.quantize_network import SUFFIXES, quantize_network
from sparseopt.cli.streams import STREAM, require_apart, require_one_stream, taken
from sparseopt.judging.rounding import shown_above, shown_below

_FILE = (
    "A product or a solution with one (.json), or its factors (.npz, .safetensors), as `factorize` "
    "writes; or a network (.onnx, .pt2); - is standard input."
)
_NETWORK = "Of networks: "
_FORMAT = (
    "bf16, fp16, e4m3, e5m2, e2m3, e3m2, e2m1, int8, int4, F1 to F53, or digits t; for each "
    "factor one, separated by commas, where - leaves a factor as it is."
)


def quantize(
    file: Annotated[str, typer.Argument(metavar="FILE", help=_FILE)],
    bits: Annotated[
        int | None,
        typer.Option(help="Binary digits t of each number, without sign and exponent: F_t."),
    ] = None,
    format: Annotated[str | None, typer.Option("--format", help=_FORMAT)] = None,
    error: Annotated[
        float | None, typer.Option(help="Relative error, with as few digits as are found.")
    ] = None,
    overflow: Annotated[
        str, typer.Option(help="saturate, or error: refuse values out of range.")
    ] = "saturate",
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Solution (.json), factors (.npz, .safetensors); of a network the report with it "
            "(.json), or the network (.onnx, .pt2); never FILE itself; - is standard output, the "
            "network.",
        ),
    ] = None,
    shape: opt.InputShape = None,
    output_name: opt.OutputRead = None,
    until: opt.Until = None,
    new: New = False,
    granularity: Annotated[
        str | None, typer.Option(help=f"{_NETWORK}tensor, or channel: what has a scale.")
    ] = None,
    rescaling: Annotated[
        str | None,
        typer.Option(help=f"{_NETWORK}path, equalization, balance or none, of hidden units."),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(help=f"{_NETWORK}a batch (.npy) to measure the change on.")
    ] = None,
    input_bound: Annotated[
        float | None,
        typer.Option(
            help=f"{_NETWORK}largest absolute value of an input, for the proven change: R is for "
            "inputs in [-R, R]; by default the largest in --inputs, or 1 without any: [-1, 1]."
        ),
    ] = None,
    solver: opt.SolverName = None,
    option: opt.SolverOption = None,
    block: opt.Block = None,
    prefer: opt.Prefer = None,
    time_limit: opt.TimeLimit = None,
    plan: opt.ShowPlan = False,
    json: opt.Json = False,
) -> None:
    """Round the factors of a product, or the weights of a network, with a proven change."""
    part = Part(shape, output_name, until)
    own = {
        "--granularity": granularity,
        "--rescaling": rescaling,
        "--inputs": inputs,
        "--input-bound": input_bound,
        "--new": new or None,
        "--shape": shape or None,
        "--output-name": output_name or None,
        "--until": until,
    }
    require_apart(output, file, inputs)
    file = taken(file)
    require_one_stream(output, json)
    if file.lower().endswith(SUFFIXES):
        _refuse("a network", {"--error": error, "--solver": solver, "--option": option})
        if (bits is None) == (format is None):
            raise so.ProblemError("give one of --bits and --format")
        quantize_network(
            file,
            format if format is not None else bits or 0,
            granularity or "tensor",
            rescaling or "path",
            inputs,
            input_bound,
            output,
            new,
            part,
            time_limit,
            json,
        )
        return
    _refuse("a product", own)
    streamed = output == STREAM
    require_output(output)
    if [bits, format, error].count(None) != 2:
        raise so.ProblemError("give one of --bits, --format and --error")
    forms: Any = _formats(format) if format is not None else bits
    problem = so.ProductQuantization(read_product(file), forms, error, overflow)
    with progress_display(not json) as progress:
        solution = so.solve(
            problem,
            solver,
            progress=progress,
            time_limit=time_limit,
            block=block or (),
            prefer=prefer or (),
            **parse_options(option or ()),
        )
    if not streamed:
        print_solution(solution, json, plan)
    if not json and not streamed:
        _print_figures(solution.certificate)
    if output is not None:
        write_product(output, solution)
        if not json and not streamed:
            say(f"written to {output}")


def _refuse(what: str, given: dict[str, Any]) -> None:
    """Refuse options that are for other files."""
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise so.ProblemError(f"{wrong[0]} is not for {what}")


def _formats(text: str) -> Any:
    """Return one format, or one for each factor."""
    names: list[Any] = [None if name.strip() == "-" else name.strip() for name in text.split(",")]
    names = [int(n) if n is not None and re.fullmatch(r"\d+", n) else n for n in names]
    return names[0] if len(names) == 1 and names[0] is not None else names


def _print_figures(certificate: Any) -> None:
    """Print the errors, and what is proved of them."""
    nearest, own = certificate.nearest_relative_error, certificate.relative_error
    say(
        f"relative error at most {shown_above(own)}; rounding each value to nearest has "
        f"{shown_above(nearest)}"
    )
    if certificate.relative_lower_bound > 0.0:
        least = shown_below(certificate.relative_lower_bound)
        say(f"no choice has less than {least}")
    if certificate.problem.relative_error is not None:
        say(f"digits of each factor: {', '.join(map(str, certificate.digits))}")
