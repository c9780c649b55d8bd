"""Torch modules are quantized in place: all of it, or nothing."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import sparseopt as so

torch = pytest.importorskip("torch", reason="modules are changed in place")
nn = torch.nn


class Residual(nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.mix = nn.Conv2d(8, 8, 3, padding=1)
        self.plain_norm = nn.BatchNorm2d(8, affine=False)
        self.narrow = nn.Conv2d(8, 4, 1)
        self.act = nn.LeakyReLU(0.1)
        self.head = nn.Linear(36, 5)
        self.raw = nn.Parameter(torch.randn(5, 5))

    def forward(self, x):  # type: ignore[no-untyped-def]
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.plain_norm(self.mix(x))) + x
        x = nn.functional.max_pool2d(self.act(self.narrow(x)), 2)
        return self.head(x.flatten(1)) @ self.raw


X = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 3, 6, 6)).astype(np.float32))


@pytest.fixture
def module() -> Residual:
    torch.manual_seed(0)
    made = Residual()
    for norm in (made.norm, made.plain_norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(made.norm.weight)
    nn.init.normal_(made.norm.bias)
    return made.eval()


def mlp() -> nn.Sequential:  # type: ignore[name-defined]
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def mean(module: nn.Module) -> float:  # type: ignore[name-defined]
    return float(outputs(module).mean())


def outputs(module: nn.Module, x: torch.Tensor = X) -> np.ndarray:  # type: ignore[name-defined]
    with torch.no_grad():
        return module(x).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("form", ["int8", "bf16"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_in_place(module: Residual, form: str, granularity: str) -> None:
    before, raw = outputs(module), module.raw.detach().clone()
    report = so.quantize(module, form, granularity, X, accuracy=mean)
    after = outputs(module)
    assert isinstance(module.norm, nn.Identity)
    assert isinstance(module.plain_norm, nn.Identity)
    assert module.stem.bias is not None
    assert module.stem.bias.requires_grad
    assert torch.equal(raw, module.raw)
    assert report.network is not None
    assert report.bound is not None
    assert report.change is not None
    np.testing.assert_allclose(report.network.run(X.double().numpy()), after, rtol=1e-4, atol=1e-4)
    change = np.abs(after - before).sum(axis=1)
    assert report.change.largest == pytest.approx(float(change.max()), rel=1e-2, abs=1e-4)
    assert report.change.largest <= report.bound.value
    assert report.accuracy_before == pytest.approx(float(before.mean()))
    assert report.accuracy_after == pytest.approx(float(after.mean()))
    assert report["matmul.weight"].reason.startswith("left alone")
    found = so.load_network(module, X).parameters()
    for name, array in report.network.parameters().items():
        np.testing.assert_array_equal(array, found[name])
    if form == "bf16":
        assert so.NumberFormat("bf16").contains(module.mix.weight.detach())


def test_a_module_is_quantized_as_its_network_is() -> None:
    inputs = torch.randn(20, 4)
    made = mlp()
    network = so.quantize(so.load_network(made, inputs), "int4", inputs=inputs)
    report = so.quantize(made, "int4", inputs=inputs)
    assert str(report).splitlines()[3:] == str(network).splitlines()[3:]
    assert report.network is not None
    assert network.network is not None
    arrays = network.network.parameters()
    for name, array in report.network.parameters().items():
        np.testing.assert_array_equal(array, arrays[name])


def test_layers_with_factors_beside_others() -> None:
    torch.manual_seed(0)
    dyadic = so.Architecture.square_dyadic(8)
    inner, last = so.KroneckerLinear(8, 8, dyadic), nn.Linear(8, 3)
    made = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), inner, nn.ReLU(), last).eval()
    inputs = torch.rand(20, 8) * 2 - 1
    for form in ("int8", "e4m3", "bf16"):
        twin = copy.deepcopy(made)
        report = so.quantize(twin, form, inputs=inputs)
        assert [layer.name for layer in report.layers] == ["2", "0", "4"]
        assert report["2"].solution is not None
        change = np.abs(outputs(twin, inputs) - outputs(made, inputs)).sum(axis=1)
        assert report.change is not None
        assert report.bound is not None
        assert report.change.largest == pytest.approx(float(change.max()), rel=1e-2, abs=1e-5)
        assert report.change.largest <= report.bound.value
        # Scales between factors are seen through.
        assert report.bound.value < {"int8": 3.0, "e4m3": 6.0, "bf16": 0.3}[form]


def test_a_module_of_factors_alone() -> None:
    torch.manual_seed(0)
    layer = so.KroneckerLinear(8, 8, so.Architecture.square_dyadic(8)).eval()
    report = so.quantize(layer, "bf16", inputs=torch.randn(5, 8))
    assert report.bound is not None
    assert report.change is not None
    assert report.change.largest <= report.bound.value
    assert len(report.layers) == 1


def test_tied_layers_stay_one() -> None:
    torch.manual_seed(0)

    class Tied(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight
            self.c = nn.Linear(3, 2)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.c(torch.relu(self.b(torch.relu(self.a(x)))))

    made = Tied().eval()
    report = so.quantize(made, "int8", inputs=torch.randn(5, 3))
    assert made.b.weight is made.a.weight
    assert [layer.name for layer in report.layers] == ["a, b", "c"]
    assert report["a, b"].values == 9


def test_masks_stay() -> None:
    made = mlp()
    nn.utils.prune.random_unstructured(made[0], "weight", 0.5)
    kept = made[0].weight_mask.clone()
    report = so.quantize(made, "int8", inputs=torch.randn(5, 4))
    assert report.network is not None
    assert torch.equal(kept, made[0].weight_mask)
    assert not made[0].weight[kept == 0].any()


@pytest.mark.parametrize(("form", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_stored(form: str, dtype: torch.dtype) -> None:
    made = mlp()
    inputs = torch.randn(20, 4)
    report = so.quantize(made, form, inputs=inputs, store=True)
    assert {p.dtype for p in made.parameters()} == {dtype}
    assert made(inputs.to(dtype)).dtype == dtype
    assert report["0"].bytes == 2 * (32 + 8)
    assert report["0"].stored == str(dtype).removeprefix("torch.")
    assert "11 biases are rounded to" in str(report)


def test_what_cannot_be_stored_is_said() -> None:
    inputs = torch.randn(20, 4)
    for form, words in (("int8", "no dtype for int8"), ("e4m3", "does not compute it in float8")):
        made = mlp()
        biases = made[0].bias.detach().clone()
        report = so.quantize(made, form, inputs=inputs, rescaling="none", store=True)
        assert {p.dtype for p in made.parameters()} == {torch.float32}
        assert all(words in layer.stored for layer in report.layers)
        assert torch.equal(biases, made[0].bias)

    class Scaled(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.factor = mlp(), nn.Parameter(torch.tensor(0.1))

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.inner(x) * self.factor

    report = so.quantize(Scaled().eval(), "bf16", inputs=inputs, store=True)
    assert "it holds other values" in report.layers[0].stored


def test_a_float8_layer() -> None:
    made = nn.Sequential(nn.Linear(4, 3)).eval()
    report = so.quantize(made, "e4m3", inputs=torch.randn(20, 4), store=True)
    if made[0].weight.dtype == torch.float8_e4m3fn:
        assert report["0"].bytes == 15
    else:  # this version of torch has no kernel for it here
        assert "does not compute it" in report["0"].stored


def state(module: nn.Module) -> dict[str, torch.Tensor]:  # type: ignore[name-defined]
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_unchanged(module: nn.Module, before: dict[str, torch.Tensor]) -> None:  # type: ignore[name-defined]
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_nothing_changes_where_something_is_wrong(module: Residual) -> None:
    before = state(module)

    def fails(model: nn.Module) -> float:  # type: ignore[name-defined]
        if isinstance(model.norm, nn.Identity):
            raise ArithmeticError
        return 1.0

    with pytest.raises(ArithmeticError):
        so.quantize(module, "bf16", inputs=X, accuracy=fails)
    assert_unchanged(module, before)
    assert module.stem.bias is None
    assert isinstance(module.norm, nn.BatchNorm2d)
    with pytest.raises(so.ProblemError, match="inputs has shape"):
        so.quantize(module, "int8", inputs=X[:, :2], example=X)
    assert_unchanged(module, before)


def test_what_the_network_does_not_show_is_not_broken() -> None:
    class Reused(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.b(torch.relu(self.a(x))) + self.a.weight.sum()

    made = Reused().eval()
    before = state(made)
    with pytest.raises(so.ProblemError, match="is used in another place too"):
        so.quantize(made, "int8", inputs=torch.randn(5, 3))
    assert_unchanged(made, before)


def test_normalizations_that_cannot_be_merged_stay() -> None:
    class Before(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.a, self.b = nn.BatchNorm1d(3), nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.b(torch.relu(self.a(self.norm(x))))

    made = Before().eval()
    made.norm.running_mean.normal_()
    report = so.quantize(made, "int8", inputs=torch.randn(5, 3))
    assert isinstance(made.norm, nn.BatchNorm1d)
    assert len(report.layers) == 2


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: mlp().half(), "float16"),
        (lambda: nn.Sequential(nn.Linear(4, 2), nn.GELU()).eval(), "gelu"),
        (lambda: nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)), "'1' .* training mode"),
        (lambda: nn.Sequential(nn.Linear(5, 2)), "cannot take an input of shape"),
    ],
)
def test_refusals(made: object, words: str) -> None:
    subject = made()  # type: ignore[operator]
    before = state(subject)
    with pytest.raises(so.ProblemError, match=words):
        so.quantize(subject, "int8", inputs=torch.randn(5, 4))
    assert_unchanged(subject, before)


def test_nan_is_refused_by_place() -> None:
    made = mlp()
    made[2].weight.data[1, 2] = float("nan")
    with pytest.raises(so.ProblemError, match=r"nan at entry \(1, 2\)"):
        so.quantize(made, "int8", inputs=torch.randn(5, 4))
