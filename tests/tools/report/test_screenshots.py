"""Three reports in a browser, wide and narrow: nothing stands out of the page.

Slow, and for machines with Chromium: it draws the pages as a person would see them. With
``SPARSEOPT_SCREENSHOTS=folder`` the pictures stay in that folder.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Add, Conv, Dense, Input, Network, Node, Relu, Reshape
from sparseopt.tools.report.html import render

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
CNN = Path(__file__).parents[3] / "examples" / "networks" / "digits_cnn.onnx"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed"),
]


def residual() -> Network:
    """Return a network with as many layers, and as many skip connections, as a ResNet-50."""
    rng = np.random.default_rng(0)
    nodes = [Node("image", Input((3, 4, 4)))]

    def conv(name: str, before: str, inputs: int, outputs: int, size: int) -> str:
        weight = rng.standard_normal((outputs, inputs, size, size))
        weight *= rng.random(weight.shape) < 0.5
        pad = size // 2
        nodes.append(Node(name, Conv(weight, padding=((pad, pad), (pad, pad))), (before,)))
        return name

    last = conv("stem.conv", "image", 3, 8, 3)
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            inner = conv(f"{name}.conv1", last, 8, 4, 1)
            inner = conv(f"{name}.conv2", inner, 4, 4, 3)
            inner = conv(f"{name}.conv3", inner, 4, 8, 1)
            nodes.append(Node(f"{name}.sum", Add(), (inner, last)))
            nodes.append(Node(f"{name}.relu", Relu(), (f"{name}.sum",)))
            last = f"{name}.relu"
    nodes.append(Node("flatten", Reshape((128,)), (last,)))
    nodes.append(Node("fc", Dense(rng.standard_normal((10, 128))), ("flatten",)))
    return Network(tuple(nodes), "fc")


REPORTS: dict[str, Callable[[], so.Report]] = {
    "digits": lambda: so.analyze(CNN),
    "residual": lambda: so.analyze(residual()),
    "supports": lambda: so.analyze(so.Closedness([np.tri(12, dtype=int), np.tri(12, dtype=int).T])),
}


def browse(*arguments: str) -> str:
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", REPORTS)
def test_the_page_fits_its_window(name: str, width: int, tmp_path: Path) -> None:
    # In a frame: windows of a browser cannot be as narrow as a telephone.
    page = html.escape(render(REPORTS[name]()))
    style = f"border: 0; width: {width}px; height: 2400px"
    told = (
        "document.body.dataset.width = document.querySelector('iframe')"
        ".contentDocument.documentElement.scrollWidth"
    )
    outside = tmp_path / "page.html"
    outside.write_text(
        f'<!doctype html><body style="margin: 0"><iframe style="{style}" srcdoc="{page}" '
        f'onload="{told}"></iframe></body>',
        encoding="utf-8",
    )
    url = outside.as_uri()
    found = re.search(r'data-width="(\d+)"', browse("--dump-dom", url))
    assert found is not None
    assert int(found[1]) <= width
    folder = Path(os.environ.get("SPARSEOPT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"report_{name}_{width}.png"
    browse(f"--screenshot={picture}", f"--window-size={max(width, 500)},2400", url)
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (max(width, 500), 2400)
