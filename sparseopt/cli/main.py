"""Entry point ``sparseopt``: exit code 0 fine, 1 a problem found, 2 bad input."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import sparseopt as so
from sparseopt.cli import (
    analyze,
    closedness,
    compress,
    doctor,
    factorize,
    prune,
    quantize,
    repair,
    rescale,
    verify,
)
from sparseopt.cli.console import BAD_INPUT, fail, say
from sparseopt.interface.errors import SparseoptError

app = typer.Typer(
    name="sparseopt",
    help="Sparse deep learning and structured matrices, with answers that come with proofs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        say(f"sparseopt {so.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Sparse deep learning and structured matrices, with answers that come with proofs."""


app.command()(doctor.doctor)
app.command()(analyze.analyze)
app.command()(closedness.closedness)
app.command()(factorize.factorize)
app.command()(quantize.quantize)
app.command()(prune.prune)
app.command()(rescale.canonicalize)
app.command()(rescale.rescale)
app.command()(compress.compress)
app.command()(repair.repair)
app.command()(verify.verify)


def run() -> None:
    """Run the command line; every error that sparseopt raises on purpose becomes exit code 2."""
    try:
        app()
    except SparseoptError as error:
        fail(str(error), "--json" in sys.argv)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    run()
