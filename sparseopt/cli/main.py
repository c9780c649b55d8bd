"""Entry point ``sparseopt``: exit code 0 fine, 1 a problem found, 2 bad input."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import sparseopt as so
from sparseopt.cli import (
    analyze,
    closedness,
    compare,
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
from sparseopt.cli.examples import epilog
from sparseopt.cli.streams import named
from sparseopt.interface.errors import SparseoptError

app = typer.Typer(
    name="sparseopt",
    help="Sparse deep learning and structured matrices, with answers that come with proofs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    doctor.doctor,
    analyze.analyze,
    closedness.closedness,
    compare.compare,
    factorize.factorize,
    quantize.quantize,
    prune.prune,
    rescale.canonicalize,
    rescale.rescale,
    compress.compress,
    repair.repair,
    verify.verify,
):
    app.command(epilog=epilog(command.__name__))(command)


def _version(asked: bool) -> None:
    if asked:
        say(f"sparseopt {so.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Sparse deep learning and structured matrices, with answers that come with proofs.

    Exit code 0: fine; 1: a finding of severity problem (see --fail-on), or a certificate refused;
    2: bad input; 3: it rests on an outside program. Every command takes --json.
    """


def run() -> None:
    """Run the command line; every error that sparseopt raises on purpose becomes exit code 2."""
    try:
        app(prog_name="sparseopt")
    except SparseoptError as error:
        fail(named(str(error)), "--json" in sys.argv)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    run()
