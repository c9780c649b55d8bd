"""How long calls of layers take, side by side."""

from __future__ import annotations

import math
import time

import torch
from torch import nn

_TRIES, _SECONDS_A_TRY = 7, 0.004


def call_seconds(layers: tuple[nn.Module, nn.Module], batch: int) -> list[float]:
    """Return the least time of one call of each layer, over alternated tries."""
    weight = next(layers[0].parameters())
    generator = torch.Generator(weight.device).manual_seed(0)
    width = weight.shape[1]
    x = torch.rand(batch, width, device=weight.device, generator=generator).to(weight.dtype)
    best = [math.inf] * len(layers)
    calls = [1] * len(layers)
    with torch.no_grad():
        for k in range(-2, _TRIES):  # two rounds to warm up and to find the numbers of calls
            for i, layer in enumerate(layers):
                _wait(x)
                start = time.perf_counter()
                for _ in range(calls[i]):
                    layer(x)
                _wait(x)
                seconds = (time.perf_counter() - start) / calls[i]
                if k < 0:
                    calls[i] = max(1, min(1000, round(_SECONDS_A_TRY / seconds)))
                else:
                    best[i] = min(best[i], seconds)
    return best


def _wait(x: torch.Tensor) -> None:
    """Wait for the device, whose calls return early."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
