"""``sparseopt prune IN -o OUT``: the least important weights of a network at zero."""

from __future__ import annotations

from typing import Annotated

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import progress_display
from sparseopt.cli.network_files import New, Output, Source, load, save, tell
from sparseopt.cli.network_source import Part
from sparseopt.tools.pruning.criteria import CRITERIA

_CRITERION = f"{', '.join(CRITERIA)}, or that of a plugin."
_GRANULARITY = "weight, channel, or N:M such as 2:4."
_LAYERS = "Prune this layer only; * fits anything, repeatable."


def prune(
    file: Source,
    output: Output,
    ratio: Annotated[
        float | None,
        typer.Option(help="Share of the weights (channels) that go, 0.5 if it is left out."),
    ] = None,
    criterion: Annotated[str, typer.Option(help=_CRITERION)] = "path_cost",
    scope: Annotated[
        str, typer.Option(help="global: all weights together; layer: each tensor.")
    ] = "global",
    granularity: Annotated[str, typer.Option(help=_GRANULARITY)] = "weight",
    layer: Annotated[list[str] | None, typer.Option(help=_LAYERS)] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave this layer alone; repeatable.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Prune in so many rounds, scoring anew in each.")
    ] = None,
    closed: Annotated[
        bool, typer.Option("--closed", help="Go on until supports are proven closed.")
    ] = False,
    smaller: Annotated[
        bool, typer.Option("--remove-dead", help="Leave out units that are dead then.")
    ] = False,
    shape: opt.InputShape = None,
    output_name: opt.OutputRead = None,
    until: opt.Until = None,
    new: New = False,
    seed: opt.Seed = None,
    json: opt.Json = False,
) -> None:
    """Set the least important weights of a network to zero."""
    with progress_display(not json) as progress:
        context = so.Context(progress=progress)
        part = Part(shape, output_name, until)
        network = load(file, output, json, context.part(0.0, 0.3), part)
        pruned = so.prune(
            network,
            ratio,
            criterion,
            scope=scope,
            granularity=granularity,
            layers=layer or None,
            exclude=exclude or None,
            schedule=rounds,
            closed=closed,
            seed=seed or 0,
            progress=context.part(0.3, 1.0),
        )
    result = so.remove_dead(pruned.network) if smaller else pruned.network
    save(result, file, output, new, part)
    document = {
        "criterion": pruned.criterion,
        "scope": pruned.scope,
        "granularity": pruned.granularity,
        "ratio": pruned.ratio,
        "density": pruned.density,
        "removed": list(pruned.removed),
        "tensors": [
            {"name": t.name, "size": t.size, "kept": t.kept, "reason": t.reason}
            for t in pruned.tensors
        ],
        "network": result.describe(),
    }
    lines = [str(pruned), result.describe()] if smaller else [str(pruned)]
    tell(lines, document, output, json)
