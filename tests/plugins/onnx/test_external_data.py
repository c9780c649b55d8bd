"""ONNX models whose tensors are in other files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import (
    model_of,
    normal,
)

import sparseopt as so


def external(folder: Path, **entries: str) -> Path:
    """Save a model whose weight lies in another file; return its path."""
    model = model_of((1, 4), "Gemm", {"w": normal(4, 3)})
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        weight.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_data_in_the_folder_of_the_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "w").write_bytes(b"1234" + np.ones(12, np.float32).tobytes())
    path = external(tmp_path, location="./parts/w", offset="4", length="48")
    assert so.load_network(path).run(np.ones(4)).tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "/etc/passwd"}, "not lie in the folder"),
        ({"location": "../secret"}, "not lie in the folder"),
        ({"location": "parts/../../secret"}, "not lie in the folder"),
        ({"location": "..\\secret"}, "not lie in the folder"),
        ({"location": "C:\\secret"}, "not lie in the folder"),
        ({"location": "\\\\host\\share"}, "not lie in the folder"),
        ({"location": ""}, "not lie in the folder"),
        ({"location": "w\0"}, "not lie in the folder"),
        ({}, "not lie in the folder"),
        ({"location": "link"}, "is a link"),
        ({"location": "away/w"}, "is a link"),
        ({"location": "parts"}, "is a folder"),
        ({"location": "pipe"}, "a pipe, socket or device"),
        ({"location": "missing"}, "does not exist|No such file"),
        ({"location": "w", "offset": "1"}, "cut short|shorter"),
        ({"location": "w", "offset": "-1"}, "no number"),
        ({"location": "w", "offset": "1e3"}, "no number"),
        ({"location": "w", "offset": "9" * 30}, "no number"),
        ({"location": "w", "length": "47"}, "declares 47 bytes where its shape needs 48"),
        ({"location": "w", "place": "w"}, "unknown or repeated keys"),
    ],
)
def test_data_elsewhere_are_refused(tmp_path: Path, entries: dict[str, str], words: str) -> None:
    folder, away = tmp_path / "model", tmp_path / "away"
    for place in (folder, folder / "parts", away):
        place.mkdir()
    for place in (folder / "w", away / "w", tmp_path / "secret"):
        place.write_bytes(np.ones(12, np.float32).tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "away").symlink_to(away)
    os.mkfifo(folder / "pipe")
    with pytest.raises(so.ProblemError, match=words) as caught:
        so.load_network(external(folder, **entries))
    assert "\n" not in str(caught.value)


def test_one_stretch_of_data_does_not_serve_many_tensors(tmp_path: Path) -> None:
    path = external(tmp_path, location="w")
    (tmp_path / "w").write_bytes(np.ones(12, np.float32).tobytes())
    model = onnx.load(str(path), load_external_data=False)
    again = model.graph.initializer.add()
    again.CopyFrom(model.graph.initializer[0])
    again.name = "again"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(so.ProblemError, match="shorter than all tensors in it together"):
        so.load_network(path)


def test_a_model_object_whose_data_were_not_loaded(tmp_path: Path) -> None:
    model = onnx.load(str(external(tmp_path, location="w")), load_external_data=False)
    with pytest.raises(so.ProblemError, match="were not loaded; give the path"):
        so.load_network(model)
