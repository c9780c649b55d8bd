"""What the trusted part leaves to others, filled in when sparseopt is imported.

Nothing trusted imports a plugin or a tool, or looks one up by name. Where a method of a trusted
class is a convenience that judges nothing, such as the page of a report or a fast product, it
calls a seam, and `sparseopt.choosing.wiring` says what fills it. None is called while a
certificate is checked, but for what the user asked for by name: the JSON classes of another
plugin in a file of that plugin, and the outside programs that were allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Seam:
    """A function that is given from outside.

    Parameters
    ----------
    what : str
        What it does, for the error of one that nothing fills.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._function: Callable[..., Any] | None = None

    def fill(self, function: Callable[..., Any]) -> None:
        """Say which function it is."""
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        if self._function is None:
            raise RuntimeError(f"nothing was given that {self._what}; import sparseopt first")
        return self._function(*arguments)


import_json_type = Seam("imports the class of a plugin's JSON tag")
"""(tag) -> None."""

find_outsider = Seam("finds an outside program by name")
"""(name) -> the function that asks it, for ``verify(..., allow=)``."""

render_page = Seam("renders a report as HTML")
"""(report) -> str."""

notebook_page = Seam("shows an object in a notebook")
"""(object) -> str, a piece of HTML."""

drawn = Seam("draws an object")
"""(object, Axes or None) -> matplotlib Axes."""

table_of_findings = Seam("makes a table of findings")
"""(report) -> pandas.DataFrame."""

multiplication = Seam("multiplies by a product of factors")
"""(factors, architecture, compiled) -> `sparseopt.butterfly.product.Multiplication`."""

made_of_network = Seam("makes a model of another library of a network")
"""(network, kind, options) -> a ``torch.nn.Module`` or an ONNX ``ModelProto``."""

written_network = Seam("writes networks to files")
"""(network, path, like) -> None."""

device_multiplication = Seam("multiplies arrays on a device by a product of factors")
"""(factors, architecture, precision) -> `sparseopt.butterfly.product.DeviceMultiplication`."""
