"""What fills the seams of the trusted part. Nothing here is imported before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparseopt.choosing import discovery, offers
from sparseopt.choosing.availability import import_path
from sparseopt.interface import seams


def _render_page(report: Any) -> str:
    from sparseopt.tools.report.html import render

    return render(report)


def _notebook_page(shown: Any) -> str:
    from sparseopt.tools.report.notebook import fragment

    return fragment(shown)


def _drawn(subject: Any, ax: Any) -> Any:
    from sparseopt.tools.drawing.entry import plot

    return plot(subject, ax)


def _table_of_findings(report: Any) -> Any:
    from sparseopt.tools.report.frame import frame

    return frame(report)


def _multiplication(factors: Sequence[Any], architecture: Any, compiled: bool) -> Any:
    multiply = offers.tool("Multiplication")
    if not compiled:
        return multiply(factors, architecture)
    fused = offers.registered_tool("FusedChain")
    missing = fused.availability()
    if missing is not None:
        return multiply(factors, architecture, note=f"compiled kernels are {missing}")
    return multiply(factors, architecture, fused.cls())


def _made_of_network(network: Any, kind: str, options: dict[str, Any]) -> Any:
    return offers.reader_named(kind).make(network, **options)


def _written_network(network: Any, path: Any, like: Any = None) -> None:
    from sparseopt.tools.writing.entry import write

    write(network, path, like)


def _device_multiplication(factors: Sequence[Any], architecture: Any, precision: str) -> Any:
    found = offers.engine("CudaMultiplication")
    # Plans are made without a device, too; a product says what is missing.
    multiply = import_path(found.entry.path)
    return multiply(factors, architecture, precision, found.availability)


def fill_seams() -> None:
    """Say what imports classes of plugins, asks outsiders, shows, draws and multiplies."""
    seams.import_json_type.fill(discovery.import_json_type)
    seams.find_outsider.fill(offers.outsider)
    seams.render_page.fill(_render_page)
    seams.notebook_page.fill(_notebook_page)
    seams.drawn.fill(_drawn)
    seams.table_of_findings.fill(_table_of_findings)
    seams.multiplication.fill(_multiplication)
    seams.made_of_network.fill(_made_of_network)
    seams.written_network.fill(_written_network)
    seams.device_multiplication.fill(_device_multiplication)
