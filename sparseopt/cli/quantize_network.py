"""``sparseopt quantize MODEL.onnx``: the weights of a network in numbers of few bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import sparseopt as so
from sparseopt.cli.console import progress_display, say, say_json
from sparseopt.cli.network_files import is_like, options_named
from sparseopt.interface.report import write_whole
from sparseopt.judging.array_files import read_array
from sparseopt.tools.quantizing.writing import write_like

SUFFIXES = (".onnx", ".pt2")
OUTPUTS = (".json", *SUFFIXES)


def quantize_network(
    file: str,
    form: str | int,
    granularity: str,
    rescaling: str,
    inputs: str | None,
    input_bound: float | None,
    output: str | None,
    new: bool,
    time_limit: float | None,
    as_json: bool,
) -> None:
    """Quantize the network in a file, report, and write it."""
    suffix = None if output is None else Path(output).suffix.lower()
    if suffix not in (None, *OUTPUTS):
        raise so.ProblemError(f"--output must end in {', '.join(OUTPUTS)}, got {output!r}")
    batch = None if inputs is None else np.asarray(read_array(inputs))
    with progress_display(not as_json) as progress:
        report = so.quantize(
            file,
            form,
            granularity,
            batch,
            rescaling=rescaling,
            input_bound=input_bound,
            time_limit=time_limit,
            progress=progress,
        )
    if as_json:
        say_json(report.to_json())
    else:
        say(str(report))
    if output is None:
        return
    if suffix == ".json":
        write_whole(output, report.to_json())
    else:
        assert report.network is not None
        with options_named():
            if is_like(file, output) and not new:
                write_like(report.network, file, output)
            else:
                so.write(report.network, output)
    if not as_json:
        say(f"written to {output}")
