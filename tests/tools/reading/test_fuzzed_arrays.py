"""Mutated files of arrays: read right, or refused."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import mutations
import numpy as np
import pytest
import scipy.sparse
from confined import Reader
from fuzzing import examples, judge, packed
from hypothesis import given, strategies as st

pytestmark = pytest.mark.slow
SEEDS = st.integers(0, 2**32 - 1)


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@examples(3000)
@given(seed=SEEDS)
def test_changed_arrays(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    content = saved(
        np.asfortranarray(np.eye(3)) if rng.random() < 0.5 else np.arange(6, dtype="u1")
    )
    if rng.random() < 0.5:  # the header alone
        content = mutations.bytes_of(content[:-72], rng) + content[-72:]
    else:
        content = mutations.bytes_of(content, rng)
    judge(reader, folder / "array.npy", content)


@examples(3000)
@given(seed=SEEDS)
def test_changed_archives_of_arrays(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    stream = io.BytesIO()
    kind = rng.randrange(3)
    if kind == 0:
        np.savez(stream, np.eye(3), np.eye(3))
    elif kind == 1:
        np.savez_compressed(stream, np.eye(3), np.eye(3))
    else:
        form = rng.choice(["csr", "csc", "coo", "bsr", "dia"])
        scipy.sparse.save_npz(stream, scipy.sparse.eye_array(4, format=form))
    content = stream.getvalue()
    if rng.random() < 0.5:  # an entry, inside an archive that is whole
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice(list(entries))
        entries[name] = mutations.bytes_of(entries[name], rng)
        judge(reader, folder / "arrays.npz", packed(entries))
    else:
        judge(reader, folder / "arrays.npz", mutations.bytes_of(content, rng))
