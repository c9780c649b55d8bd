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
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import (
    Add,
    AxisWindow,
    Conv,
    Dense,
    Input,
    MaxPool,
    Network,
    Node,
    Relu,
    Resample,
    Reshape,
)
from sparseopt.tools.reading.window_cells import total_map
from sparseopt.tools.report.html import render

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
CNN = Path(__file__).parents[3] / "examples" / "networks" / "digits_cnn.onnx"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed"),
]


def resnet50(side: int) -> Network:
    """Return a ResNet-50 for 1000 classes, half of its weights zero, as drawn before training.

    Its layers, widths and skip connections are those of He et al. 2016 (torchvision's version 1.5,
    strides in the middle of a block); normalizations are the identity they begin as, and the
    images have `side` pixels in place of 224, which changes no weight.
    """
    rng = np.random.default_rng(0)
    nodes = [Node("image", Input((3, side, side)))]

    def conv(name: str, before: str, inputs: int, outputs: int, size: int, stride: int = 1) -> str:
        weight = rng.standard_normal((outputs, inputs, size, size), dtype=np.float32)
        weight *= rng.random(weight.shape, dtype=np.float32) < 0.5
        weight *= np.float32(np.sqrt(4 / (inputs * size * size)))
        pads = ((size // 2, size // 2),) * 2
        operator = Conv(weight, stride=(stride, stride), padding=pads)
        nodes.append(Node(name, operator, (before,)))
        return name

    def relu(before: str) -> str:
        nodes.append(Node(f"{before}.relu", Relu(), (before,)))
        return f"{before}.relu"

    last = relu(conv("conv1", "image", 3, 64, 7, 2))
    cells = 2 * np.arange(side // 4)[:, None] + np.arange(-1, 2)  # below 0: padding
    nodes.append(Node("maxpool", MaxPool([AxisWindow(axis, cells) for axis in (1, 2)]), (last,)))
    last, inputs = "maxpool", 64
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        width = 32 << stage
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            inner = relu(conv(f"{name}.conv1", last, inputs, width, 1))
            inner = relu(conv(f"{name}.conv2", inner, width, width, 3, stride))
            inner = conv(f"{name}.conv3", inner, width, 4 * width, 1)
            if block == 0:
                last = conv(f"{name}.downsample", last, inputs, 4 * width, 1, stride)
            nodes.append(Node(f"{name}.add", Add(), (inner, last)))
            last, inputs = relu(f"{name}.add"), 4 * width
    means = [total_map(axis, side // 32, mean=True) for axis in (1, 2)]
    nodes.append(Node("avgpool", Resample(means), (last,)))
    nodes.append(Node("flatten", Reshape((inputs,)), ("avgpool",)))
    weight = rng.standard_normal((1000, inputs), dtype=np.float32) / np.float32(np.sqrt(inputs))
    nodes.append(Node("fc", Dense(weight), ("flatten",)))
    return Network(tuple(nodes), "fc")


def test_the_network_is_a_resnet_50() -> None:
    network = resnet50(32)
    weights = sum(a.size for a in network.parameters().values())
    normalizations = 2 * 26560  # a scale and a shift of each channel, the identity here
    assert weights + normalizations + 1000 == 25_557_032  # as torchvision counts, with biases of fc


REPORTS: dict[str, Callable[[], so.Report]] = {
    "digits": lambda: so.analyze(CNN),
    "resnet50": lambda: so.analyze(resnet50(64), time_limit=300),
    "supports": lambda: so.analyze(so.Closedness([np.tri(12, dtype=int), np.tri(12, dtype=int).T])),
}


@cache
def page_of(name: str) -> str:
    return render(REPORTS[name]())


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
    page = html.escape(page_of(name))
    style = f"border: 0; width: {width}px; height: 2400px"
    told = (
        "const inner = document.querySelector('iframe').contentDocument;"
        "document.body.dataset.width = inner.documentElement.scrollWidth;"
        "document.body.dataset.broken = [...inner.querySelectorAll('.keys dt + dd')].filter("
        "one => one.offsetHeight > 2 * parseFloat(getComputedStyle(one).fontSize)).length"
    )
    outside = tmp_path / "page.html"
    outside.write_text(
        f'<!doctype html><body style="margin: 0"><iframe style="{style}" srcdoc="{page}" '
        f'onload="{told}"></iframe></body>',
        encoding="utf-8",
    )
    url = outside.as_uri()
    shown = browse("--dump-dom", url)
    found = re.search(r'data-width="(\d+)"', shown)
    assert found is not None
    assert int(found[1]) <= width
    assert 'data-broken="0"' in shown  # key figures of more than one line
    folder = Path(os.environ.get("SPARSEOPT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"report_{name}_{width}.png"
    browse(f"--screenshot={picture}", f"--window-size={max(width, 500)},2400", url)
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (max(width, 500), 2400)
