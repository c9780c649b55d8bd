"""Models of model libraries: a checked path-norm, or a refusal that says what can be read.

torchvision's and timm's are made where these are installed, untrained and for small images. The
forms that these libraries build of are here in small, so that they are tried in any case.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import sparseopt as so

SECONDS = 900.0
"""For all models of one library; those that are not reached are skipped, and say so."""
LARGEST = 100_000_000
"""Parameters of the largest model that is made."""
SIZES = (64, 96, 128, 224, 256, 299, 384)
"""Edges of images; the first that a model takes is used."""


def answered(model: nn.Module, x: torch.Tensor) -> str:
    """Return "read" or the refusal; fail unless one of them is what is promised."""
    try:
        network = so.load_network(model, x)
    except so.ProblemError as error:
        said = str(error)
        assert "please report" not in said, said
        assert "\n" not in said, said
        helped = "until=", "outputs=", "no part of the network before it is left", "example"
        assert any(word in said for word in helped), said
        return said
    solution = so.solve(so.PathNorm(network))
    assert so.verify(solution).ok
    assert solution.answer.value > 0
    return "read"


class Residual(nn.Module):
    """A basic block of a residual network, with a projection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.down = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.norm1(self.first(x)))
        out = self.norm2(self.second(out))
        out += self.down(x)
        return self.relu(out)  # type: ignore[no-any-return]


class Fire(nn.Module):
    """Two branches side by side, as of SqueezeNet and GoogLeNet."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(4, 2, 1)
        self.one, self.three = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], 1)


class Shuffle(nn.Module):
    """Half of the channels through a depthwise convolution, and all shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(2, 2, 3, 1, 1, groups=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=1)
        x = torch.cat((left, torch.relu(self.depthwise(right))), dim=1)
        batch, channels, height, width = x.size()
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return x.view(batch, channels, height, width)


class Dense(nn.Module):
    """A layer of a densely connected network: all that came before, in one list."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [x]
        features.append(self.conv(torch.relu(self.norm(torch.cat(features, 1)))))
        return torch.cat(features, 1)


class Excited(nn.Module):
    """Squeeze and excitation: a product of two values that depend on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = torch.nn.functional.adaptive_avg_pool2d(x, 1)
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(scale)))) * x


class Attending(nn.Module):
    """A block of a vision transformer behind patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(4, 8, 4, 4)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.patches(x).flatten(2).transpose(1, 2))  # type: ignore[no-any-return]


class TwoHeads(nn.Module):
    """A head that is read, and an auxiliary one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.main, self.side = nn.Conv2d(4, 4, 3), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = torch.relu(self.stem(x)).mean((2, 3))
        return {"out": self.main(x), "aux": torch.nn.functional.silu(self.side(x))}


def headed(*body: nn.Module) -> nn.Module:
    """Return a classifier: body, average over space, one linear layer."""
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3))


FORMS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "residual": (lambda: headed(Residual(4, 6, 2)), "read"),
    "plain": (
        lambda: headed(nn.Conv2d(4, 4, 3), nn.ReLU(True), nn.MaxPool2d(3, 2, ceil_mode=True)),
        "read",
    ),
    "branches": (lambda: headed(Fire()), "read"),
    "shuffled": (lambda: headed(Shuffle()), "read"),
    "densely": (lambda: headed(Dense()), "read"),
    "relu6": (lambda: headed(nn.Conv2d(4, 8, 1), nn.ReLU6(), nn.Dropout(0.2)), "read"),
    "hardswish": (lambda: headed(nn.Conv2d(4, 8, 1), nn.Hardswish()), "until="),
    "excited": (lambda: headed(nn.Conv2d(4, 4, 1), Excited()), "until="),
    "attending": (Attending, "until="),
    "normed": (lambda: headed(nn.Conv2d(4, 8, 1), nn.GroupNorm(1, 8), nn.GELU()), "until="),
    "heads": (TwoHeads, "outputs="),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_libraries_build_of(name: str) -> None:
    torch.manual_seed(0)
    make, expected = FORMS[name]
    model, x = make().eval(), torch.rand(1, 4, 12, 12)
    with torch.no_grad():
        model(x)  # which gives lazy layers their sizes
    said = answered(model, x)
    assert expected in said, said


def test_a_refusal_names_a_part_that_is_read() -> None:
    """What the option says is what it does."""
    model = nn.Sequential(nn.Conv2d(4, 8, 1), nn.Hardswish(), nn.Conv2d(8, 2, 1)).eval()
    x = torch.rand(1, 4, 6, 6)
    said = answered(model, x)
    node = said.partition("until='")[2].partition("'")[0]
    network = so.load_network(model, x, until=node)
    assert so.verify(so.solve(so.PathNorm(network))).ok
    heads, image = TwoHeads().eval(), torch.rand(1, 4, 6, 6)
    assert so.load_network(heads, image, outputs="out").output_shape == (3,)


def _torchvision(name: str) -> nn.Module:
    import torchvision

    some = {"init_weights": False} if name.startswith(("googlenet", "inception")) else {}
    return torchvision.models.get_model(name, weights=None, **some)  # type: ignore[no-any-return]


def _timm(name: str) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False)  # type: ignore[no-any-return]


def _names(library: str) -> list[str]:
    """Return the classification models of a library, one of a family; none where it is absent."""
    if importlib.util.find_spec(library) is None:
        return []
    if library == "torchvision":
        import torchvision

        return list(torchvision.models.list_models(module=torchvision.models))
    import timm

    families: dict[str, str] = {}
    for name in timm.list_models(exclude_filters=["*_in21k*", "*384*", "*512*", "*giant*"]):
        families.setdefault(timm.models.model_entrypoint(name).__module__, name)
    return sorted(families.values())


MADE: dict[str, Callable[[str], nn.Module]] = {"torchvision": _torchvision, "timm": _timm}
CASES = [(library, name) for library in MADE for name in _names(library)]
ABSENT = [library for library in MADE if importlib.util.find_spec(library) is None]
_spent: dict[str, float] = {}


@pytest.mark.slow
@pytest.mark.parametrize("library", MADE)
def test_libraries_are_there(library: str) -> None:
    if library in ABSENT:
        pytest.skip(f"{library} is not installed")
    assert any(case[0] == library for case in CASES)


@pytest.mark.slow
@pytest.mark.parametrize(("library", "name"), CASES)
def test_models_of_libraries(library: str, name: str) -> None:
    check_model(lambda: MADE[library](name), library)


def check_model(make: Callable[[], nn.Module], library: str) -> None:
    """Make a model that is not too large, and read it for the first image that it takes."""
    if _spent.get(library, 0.0) > SECONDS:
        pytest.skip(f"the {SECONDS:g} s for models of {library} are spent")
    start = time.monotonic()
    try:
        with torch.device("meta"):
            count = sum(p.numel() for p in make().parameters())
    except (RuntimeError, NotImplementedError):
        count = 0  # it cannot be made without memory
    if count > LARGEST:
        pytest.skip(f"it has {count} parameters, more than {LARGEST}")
    torch.manual_seed(0)
    model = make().eval()
    answered(model, image_for(model))
    _spent[library] = _spent.get(library, 0.0) + time.monotonic() - start


def image_for(model: nn.Module) -> torch.Tensor:
    """Return the smallest image that a model takes."""
    fault: Any = None
    for size in SIZES:
        x = torch.rand(1, 3, size, size)
        try:
            with torch.no_grad():
                model(x)
        except Exception as error:
            fault = error
            continue
        return x
    pytest.skip(f"it takes no image of {SIZES}: {type(fault).__name__}")


def test_the_way_of_the_libraries_on_a_model_made_by_hand() -> None:
    class Strict(nn.Module):
        """Takes images of one size, as transformers do."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 2, 8, 8), nn.ReLU(), nn.Flatten())
            self.head = nn.Linear(2 * 12 * 12, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape[-1] == 96
            return self.head(self.body(x))  # type: ignore[no-any-return]

    assert image_for(Strict()).shape == (1, 3, 96, 96)
    check_model(Strict, "by hand")
    assert _spent["by hand"] > 0
    with pytest.raises(pytest.skip.Exception, match="more than"):
        check_model(lambda: nn.Linear(20_000, 10_000), "by hand")
    _spent["by hand"] = SECONDS + 1
    with pytest.raises(pytest.skip.Exception, match="are spent"):
        check_model(Strict, "by hand")
