"""Mutated .pt2 files: read right, or refused."""

from __future__ import annotations

import functools
import io
import json
import random
import zipfile
from pathlib import Path

import mutations
import pytest
import torch
from confined import Reader
from fuzzing import WORDS, examples, judge, packed
from hypothesis import given, strategies as st
from pt2_models import Scaled, old_entries
from torch import nn

pytestmark = pytest.mark.slow
SEEDS = st.integers(0, 2**32 - 1)


def programs() -> list[torch.export.ExportedProgram]:
    torch.manual_seed(0)
    image = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.PixelShuffle(2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).eval()
    return [
        torch.export.export(Scaled().eval(), (torch.zeros(2, 4),)),
        torch.export.export(image, (torch.zeros(1, 2, 6, 6),)),
    ]


@functools.cache
def archives() -> list[dict[str, bytes]]:
    """Return entries of honest files, in the layouts of today and of torch 2.7."""
    result = []
    for program in programs():
        stream = io.BytesIO()
        torch.export.save(program, stream)
        with zipfile.ZipFile(stream) as archive:
            result.append({name: archive.read(name) for name in archive.namelist()})
        result.append(old_entries(program))
    return result


ATEN = [
    f"torch.ops.aten.{name}.{overload}"
    for name in dir(torch.ops.aten)
    if isinstance(packet := getattr(torch.ops.aten, name), torch._ops.OpOverloadPacket)
    for overload in packet.overloads()
]


@examples(3000)
@given(seed=SEEDS)
def test_changed_programs(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    entries = dict(rng.choice(archives()))
    name = rng.choice([n for n in entries if n.endswith(".json")])
    words = [*WORDS[:10], *rng.sample(ATEN, 20), "as_int", "as_tensor", "as_ints", "linear", "relu"]
    document = mutations.document(json.loads(entries[name]), rng, words)
    entries[name] = json.dumps(document).encode()
    judge(reader, folder / "program.pt2", packed(entries))


@examples(2000)
@given(seed=SEEDS)
def test_changed_bytes_of_programs(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    entries = dict(rng.choice(archives()))
    if rng.random() < 0.5:
        judge(reader, folder / "bytes.pt2", mutations.bytes_of(packed(entries), rng))
        return
    name = rng.choice(list(entries))
    entries[name] = mutations.bytes_of(entries[name], rng)
    judge(reader, folder / "bytes.pt2", packed(entries))
