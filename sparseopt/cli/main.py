"""Entry point ``sparseopt``: exit code 0 fine, 1 a problem found, 2 bad input."""

from __future__ import annotations

import sys
from typing import Annotated, Any

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
from sparseopt.cli.console import BAD_INPUT, FINE, INTERRUPTED, OutputError, fail, say
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


UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # type: ignore[assignment]
"""Of click, which versions of typer hold in different places."""


def run() -> None:
    """Run the command line; an error that its user can mend is one line, exit code 2."""
    as_json = "--json" in sys.argv
    try:
        code = app(prog_name="sparseopt", standalone_mode=False)
    except SparseoptError as error:
        fail(named(str(error)), as_json and not isinstance(error, OutputError))
        sys.exit(BAD_INPUT)
    except UsageError as error:
        if len(sys.argv) == 1:
            error.show()  # type: ignore[attr-defined]  # the help
        else:
            fail(_usage(error), as_json)
        sys.exit(BAD_INPUT)
    except typer.Abort:
        fail("interrupted", as_json)
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else FINE)


def _usage(error: Any) -> str:
    """Return an error about the use of a command as one sentence, and where to read more."""
    words = " ".join(error.format_message().split()).rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "sparseopt"
    return f"{words[:1].lower()}{words[1:]}; see {command} --help"


if __name__ == "__main__":
    run()
