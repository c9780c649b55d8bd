"""``sparseopt factorize MATRIX``: a butterfly factorization with its error and bounds."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any

import numpy as np
import typer

import sparseopt as so
from sparseopt.butterfly.expansion import split_work
from sparseopt.cli import options as opt
from sparseopt.cli.console import parse_options, print_solution, progress_display, say
from sparseopt.cli.product_files import require_output, write_product
from sparseopt.cli.streams import STREAM, require_apart, require_one_stream, taken
from sparseopt.interface.printing import short
from sparseopt.judging.files import read_text
from sparseopt.judging.rounding import shown_above, shown_below
from sparseopt.tools.reading.matrices import read_matrix

_FORMS = (
    "square-dyadic, monarch:P,Q, search:PARAMETERS or search:PARAMETERS,MAX_RANK, or a JSON file "
    "with a list of [a, b, c, d]"
)
_LONG = 60.0
"""Predicted seconds from which on bounds are not printed unless they were asked for."""
_ORDERS = "known, or unknown: look for orders of rows and columns (square-dyadic only)"


def factorize(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A matrix (.npy, .npz, .mtx, .csv, .mat); - is standard input."
        ),
    ],
    architecture: Annotated[str, typer.Option(help=_FORMS)],
    permutations: Annotated[str, typer.Option(help=_ORDERS)] = "known",
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Solution (.json; - on standard output), or factors (.npz, .safetensors); no file "
            "that is read.",
        ),
    ] = None,
    variable: Annotated[
        str | None, typer.Option(help="Name of the matrix, in a file of several.")
    ] = None,
    solver: opt.SolverName = None,
    option: opt.SolverOption = None,
    block: opt.Block = None,
    prefer: opt.Prefer = None,
    seed: opt.Seed = None,
    time_limit: opt.TimeLimit = None,
    plan: opt.ShowPlan = False,
    json: opt.Json = False,
) -> None:
    """Approximate a matrix by a product of Kronecker-sparse factors, with error and bounds."""
    require_one_stream(output, json)
    require_apart(output, file, architecture)
    streamed = output == STREAM
    require_output(output)
    if permutations != "known" and str(output).lower().endswith(".safetensors"):
        raise so.ProblemError(
            "files of safetensors hold no orders of rows and columns; with --permutations unknown "
            f"write .json or .npz, not {short(output)}"
        )
    target = read_matrix(taken(file), variable)
    problem = so.ButterflyFactorization(target, _parse(architecture, target), permutations)
    with progress_display(not json) as progress:
        solution = so.solve(
            problem,
            solver,
            seed=seed,
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


def _parse(text: str, target: np.ndarray) -> so.Architecture:
    """Return the architecture that the option names, for this matrix."""
    rows, columns = target.shape
    kind, _, rest = text.partition(":")
    if kind == "square-dyadic" and not rest:
        if rows != columns:
            raise so.ProblemError(f"square-dyadic needs a square matrix, got {rows} x {columns}")
        return so.Architecture.square_dyadic(rows)
    if kind == "monarch" and rest:
        try:
            p, q = (int(number) for number in rest.split(","))
        except ValueError as error:
            raise so.ProblemError(
                f"monarch takes monarch:P,Q with two integers, got {short(text)}"
            ) from error
        return so.Architecture.monarch(rows, columns, p, q)
    if kind == "search" and rest:
        return _search(rest, target)
    if text.endswith(".json"):
        return _read_architecture(text)
    raise so.ProblemError(f"--architecture must be {_FORMS}, got {short(text)}")


def _search(rest: str, target: np.ndarray) -> so.Architecture:
    """Return the architecture of least proven error within a budget of parameters."""
    from sparseopt.tools.selection import best_architecture

    try:
        numbers = [int(number) for number in rest.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise so.ProblemError(
            f"search takes search:PARAMETERS or search:PARAMETERS,MAX_RANK with integers, got "
            f"'search:{rest}'"
        )
    return best_architecture(target, *numbers).architecture


def _read_architecture(file: str) -> so.Architecture:
    text = read_text(file)
    try:
        patterns: Any = json_module.loads(text)
    except json_module.JSONDecodeError as error:
        raise so.ProblemError(f"{file!r} is not JSON: {error}") from error
    if isinstance(patterns, dict):
        architecture = so.from_json(text)
        if isinstance(architecture, so.Architecture):
            return architecture
    if not isinstance(patterns, list) or not all(
        isinstance(p, list) and len(p) == 4 and all(type(n) is int for n in p) for p in patterns
    ):
        raise so.ProblemError(f"{file!r} must hold a list of patterns [a, b, c, d] of integers")
    return so.Architecture([so.KroneckerPattern(*pattern) for pattern in patterns])


def _print_figures(certificate: Any) -> None:
    if isinstance(certificate, so.PermutedButterflyCertificate):
        certificate = certificate.for_these_orders
        say("orders of rows and columns were found; the bounds hold for these orders")
    error = (
        f"error at most {shown_above(certificate.error)} "
        f"(relative {shown_above(certificate.relative_error)})"
    )
    seconds = split_work(certificate.problem.architecture.reduced()) * 1e-9
    if not certificate.bounds and seconds > _LONG:
        say(f"{error}; bounds take minutes or more: ask for them with --option bounds=always")
        return
    say(
        f"{error}; the best possible error is at least {shown_below(certificate.lower_bound)}, "
        f"and the method's proven bound is {shown_above(certificate.upper_bound)}"
    )
