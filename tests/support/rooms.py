"""The rooms of the library, and which capability is built on which."""

TRUSTED_BY_ALL = {"interface", "judging"}

BUILT_ON: dict[str, set[str]] = {
    "butterfly": set(),
    "closedness": {"butterfly"},
    "guarantees": {"networks", "pathnorm"},
    "inverse": {"butterfly"},
    "networks": set(),
    "pathnorm": {"networks"},
    "quantization": {"butterfly"},
    "supports": {"closedness", "butterfly"},
    "training": {"closedness", "butterfly"},
}
"""The capabilities whose problems, or parts of them, those of a capability are stated in."""

TRUSTED = {*TRUSTED_BY_ALL, *BUILT_ON}
OTHERS = {"choosing", "tools", "cli", "testing"}


def room(module: str) -> str:
    """Return the room of a module or file: a folder of the library, or a plugin."""
    parts = module.replace("/", ".").removesuffix(".py").split(".")
    return parts[1] if parts[0] == "sparseopt" and len(parts) > 1 else parts[0]
