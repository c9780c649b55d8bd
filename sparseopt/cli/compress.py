"""``sparseopt compress IN -o OUT``: layers as products of Kronecker-sparse factors."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Annotated, Any

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import progress_display
from sparseopt.cli.network_files import Output, Source, load, save, tell
from sparseopt.cli.network_source import Part
from sparseopt.interface.printing import short


def compress(
    file: Source,
    output: Output,
    ratio: Annotated[
        float,
        typer.Option(
            help="Share of each layer's weights that is saved, in (0, 1); 0.9: a tenth is left."
        ),
    ] = 0.5,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Compress this layer only, by its module's name; repeatable."),
    ] = None,
    max_error: Annotated[
        float | None, typer.Option(help="Leave layers alone whose relative error would be larger.")
    ] = None,
    min_speedup: Annotated[
        float,
        typer.Option(help="Least predicted speedup; layers below it are left alone. 0: any."),
    ] = 1.0,
    shape: opt.InputShape = None,
    output_name: opt.OutputRead = None,
    until: opt.Until = None,
    time_limit: opt.TimeLimit = None,
    json: opt.Json = False,
) -> None:
    """Replace layers by products of Kronecker-sparse factors, telling their errors; a new file."""
    if not 0 < ratio < 1:
        raise so.ProblemError(f"--ratio must lie strictly between 0 and 1, got {short(ratio)}")
    part = Part(shape, output_name, until)
    network = load(file, output, json, part=part)
    module = network.to_torch()
    with progress_display(not json) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large errors, which the report says
        report = so.compress(
            module,
            1.0 - ratio,
            layers=layer or None,
            max_error=max_error,
            min_speedup=min_speedup or None,
            inplace=True,
            time_limit=time_limit,
            progress=progress,
        )
    lines, result = [str(report)], network
    replaced = any(entry.replaced for entry in report.layers)
    if replaced:
        made = so.load_network(report.model, example=_example(network, module))
        result = replace(made, inputs=network.inputs, outputs=network.outputs)
    else:
        lines.append("no layer is replaced: OUT computes what IN does, in as many parameters")
    save(result, file, output, new=replaced, part=part)
    document = {
        "ratio": ratio,
        "parameters_before": report.parameters_before,
        "parameters_after": report.parameters_after,
        "layers": [
            {
                "name": entry.name,
                "replaced": entry.replaced,
                "relative_error": entry.relative_error,
                "reason": entry.reason,
            }
            for entry in report.layers
        ],
    }
    tell(lines, document, output, json)


def _example(network: so.Network, module: Any) -> Any:
    import numpy as np

    dtype = next((p.detach().numpy().dtype for p in module.parameters()), np.dtype(np.float32))
    return np.zeros((1, *network.input_shape), dtype)
