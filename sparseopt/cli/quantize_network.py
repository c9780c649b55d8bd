"""``sparseopt quantize MODEL.onnx``: the weights of a network in numbers of few bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import sparseopt as so
from sparseopt.cli.console import progress_display, say, say_json
from sparseopt.cli.network_files import is_like, options_named
from sparseopt.cli.network_source import Part
from sparseopt.cli.streams import STREAM, put_file, put_text
from sparseopt.interface.printing import short
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
    part: Part,
    time_limit: float | None,
    as_json: bool,
) -> None:
    """Quantize the network in a file, report, and write it."""
    streamed = output == STREAM
    own = Path(file).suffix.lower()  # of what goes to standard output
    suffix = own if streamed else None if output is None else Path(output).suffix.lower()
    if suffix not in (None, *OUTPUTS):
        raise so.ProblemError(f"--output must end in {', '.join(OUTPUTS)}, got {short(output)}")
    batch = None if inputs is None else np.asarray(read_array(inputs))
    with progress_display(not as_json) as progress:
        context = so.Context(progress=progress)
        with options_named():
            network = part.of(file, context.part(0.0, 0.3))
        report = so.quantize(
            network,
            form,
            granularity,
            batch,
            rescaling=rescaling,
            input_bound=input_bound,
            time_limit=time_limit,
            progress=context.part(0.3, 1.0),
        )
    if as_json:
        say_json(report.to_json())
    elif not streamed:
        say(str(report))
    if output is None:
        return
    if suffix == ".json":
        put_text(output, report.to_json())
    else:
        assert report.network is not None
        rounded = report.network

        def write(path: str) -> None:
            if is_like(file, path) and part.is_whole and not new:
                write_like(rounded, file, path, part.example)
            else:
                so.write(rounded, path)

        with options_named():
            put_file(output, own, write)
    if not as_json and not streamed:
        say(f"written to {output}")
