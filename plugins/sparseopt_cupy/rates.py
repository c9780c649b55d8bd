"""What a device copies and multiplies per second: figures for plans, measured or assumed.

Plans read what was measured on request and kept in the user's cache folder; they never measure.
Where nothing was, they assume what is stated for devices of its kind.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sparseopt_cupy import kept

# How much faster the second-level cache gives what it holds than memory does.
CACHE_SPEED = 2.5
_FILE = "cuda_rates.json"


@dataclass(frozen=True)
class Rates:
    """Figures of one device.

    Attributes
    ----------
    name : str
        Of the device.
    source : str
        ``"assumed"``, or when they were measured.
    copy : float
        Bytes read and written per microsecond.
    ieee, tf32, half, double : float
        Flops per microsecond of large matrix products: float32 without and with tensor cores,
        16-bit floats, float64.
    launch : float
        Microseconds between two launches.
    """

    name: str
    source: str
    copy: float
    ieee: float
    tf32: float
    half: float
    double: float
    launch: float = 4.0

    def __str__(self) -> str:
        return (
            f"{self.copy / 1e6:.2f} TB/s and {self.ieee / 1e6:.0f} (float32), "
            f"{self.tf32 / 1e6:.0f} (tf32), {self.half / 1e6:.0f} (16 bits) TFLOP/s, {self.source}"
        )

    def of_products(self, dtype: str, precision: str) -> float:
        """Return the rate of products of a data type."""
        if dtype in ("float16", "bfloat16"):
            return self.half
        if dtype in ("float64", "complex128"):
            return self.double
        if dtype == "float32" and precision == "tf32":
            return self.tf32
        if dtype == "float32" and precision == "tf32x3":
            return self.tf32 / 3
        return self.ieee

    @staticmethod
    def of(name: str, capability: int = 90) -> Rates:
        """Return what is known of a device: measured figures if they were kept."""
        assumed = _ASSUMED[80 if capability < 90 else 90]
        return _measured(name) or replace(assumed, name=name)

    def keep(self) -> Path:
        """Write measured figures where `of` finds them."""
        return kept.keep(_FILE, self.name, asdict(self))


# By compute capability: of an A100 as its maker states them but for the copy, of an H100 the copy
# and 16-bit rates as measured by others.
_ASSUMED = {
    80: Rates("compute capability 8", "assumed", 1.4e6, 19e6, 150e6, 300e6, 9.7e6),
    90: Rates("H100", "assumed", 3.0e6, 60e6, 400e6, 798e6, 33e6),
}


def _measured(name: str) -> Rates | None:
    try:
        found = Rates(**kept.read(_FILE)[name])
        figures = [float(v) for v in asdict(found).values() if not isinstance(v, str)]
    except (KeyError, TypeError, ValueError):
        return None
    return found if all(math.isfinite(v) and v > 0 for v in figures) else None
