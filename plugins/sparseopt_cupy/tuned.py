"""Steps of plans that were measured on a device, because `plan(tune=True)` asked for it.

They are kept in the user's cache folder, by device, driver and sources of the kernels: where one of
these is another, nothing is known. Plans read them and never measure.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparseopt_cupy import kept
from sparseopt_cupy.device import device_name

_FILE = "cuda_steps.json"


@dataclass(frozen=True)
class Measured:
    """The least time of a method for one step, and the sizes of the tile that took it."""

    microseconds: float
    tile: tuple[int, ...] = ()


Steps = dict[str, dict[str, Measured]]
"""Figures by step (see `key_of`) and method."""


def key_of(
    run: Iterable[Iterable[int]],
    n: int,
    dtype: str,
    precision: str,
    layout: str,
    order: str = "adbc",
) -> str:
    """Return what names a step: the factors that it applies, how they lie, and to what."""
    patterns = " ".join(",".join(map(str, pattern)) for pattern in run)
    lying = "" if order == "adbc" else f" | weights {order}"
    return f"{patterns} | {n} columns {layout} | {dtype} {precision}{lying}"


@lru_cache(maxsize=64)
def steps_of(place: int) -> Steps:
    """Return the steps that were measured on a device, read once; `keep` writes what is added."""
    found = kept.read(_FILE).get(_device(place))
    return _valid(found) if isinstance(found, Mapping) else {}


def keep(place: int) -> Path:
    """Write the steps of a device where later processes find them."""
    steps = {
        key: {method: asdict(one) for method, one in methods.items()}
        for key, methods in steps_of(place).items()
    }
    return kept.keep(_FILE, _device(place), steps)


def _device(place: int) -> str:
    import cupy

    driver = int(cupy.cuda.runtime.driverGetVersion())
    return f"{device_name(place)}, driver {driver}, kernels {_sources()}"


@lru_cache(maxsize=1)
def _sources() -> str:
    """Return a digest of all templates."""
    folder = files("sparseopt_cupy.kernels")
    texts = sorted(one.read_bytes() for one in folder.iterdir() if one.name.endswith(".cuh"))
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def _valid(found: Mapping[str, Any]) -> Steps:
    """Return the figures that can be meant; a file may hold anything."""
    steps: Steps = {}
    for key, methods in found.items():
        try:
            own = {
                str(method): Measured(float(one["microseconds"]), tuple(map(int, one["tile"])))
                for method, one in methods.items()
            }
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
        if all(math.isfinite(one.microseconds) and one.microseconds > 0 for one in own.values()):
            steps[key] = own
    return steps
