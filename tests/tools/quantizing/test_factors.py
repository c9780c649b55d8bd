"""Layers of torch models are quantized in place, and the report tells the truth."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import sparseopt as so

torch = pytest.importorskip("torch", reason="the layers are torch modules")


def model(dtype: object = None) -> torch.nn.Module:
    torch.manual_seed(0)
    dyadic = so.Architecture.square_dyadic(16)
    first = so.KroneckerLinear(16, 16, dyadic, dtype=dtype)
    second = so.KroneckerLinear(16, 16, dyadic, bias=False, dtype=dtype)
    return torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.Linear(16, 3, dtype=dtype))


def weight(layer: so.KroneckerLinear) -> np.ndarray:
    factors = [f.detach().float().double().numpy() for f in layer.factors]
    found: np.ndarray = so.KroneckerProduct(factors, layer.architecture).to_dense()
    return found


@pytest.mark.parametrize("form", ["e4m3", "bf16", 5])
def test_in_place(form: str | int) -> None:
    network = model()
    before = [weight(network[i]) for i in (0, 2)]
    last, bias = network[3].weight.clone(), network[0].bias.clone()
    operand = torch.randn(4, 16)
    with torch.no_grad():
        network(operand)
    report = so.quantize(
        network, form, layers="kronecker", accuracy=lambda m: float(m(operand).detach().sum())
    )
    assert [layer.name for layer in report.layers] == ["0", "2"]
    assert torch.equal(last, network[3].weight)
    assert torch.equal(bias, network[0].bias)
    for given, place, row in zip(before, (0, 2), report.layers, strict=True):
        error = np.linalg.norm(given - weight(network[place])) / np.linalg.norm(given)
        assert error == pytest.approx(row.relative_error, rel=1e-3)
        assert row.relative_error < row.nearest_relative_error
        chosen = so.significand(form) if isinstance(form, int) else so.NumberFormat(form)
        assert all(chosen.contains(f.detach()) for f in network[place].factors)
        assert all(f.requires_grad for f in network[place].factors)
    with torch.no_grad():
        after = network(operand)
    hidden = torch.relu(operand.double() @ torch.tensor(weight(network[0])).T + bias.double())
    out = hidden @ torch.tensor(weight(network[2])).T
    expected = out @ last.double().T + network[3].bias.double()
    torch.testing.assert_close(after.double(), expected, rtol=1e-4, atol=1e-4)
    assert report.accuracy_after == pytest.approx(float(after.sum()), rel=1e-4)
    assert "now" in str(report)


def test_pruned_factors_keep_their_zeros() -> None:
    network = model()
    operand = torch.randn(4, 16)
    so.prune(network, 0.5, "magnitude", scope="layer", example=operand[:1])
    zeros = [f.detach() == 0 for i in (0, 2) for f in network[i].factors]
    assert sum(int(z.sum()) for z in zeros) > 50
    report = so.quantize(network, 5, inputs=operand)
    found = [f.detach() for i in (0, 2) for f in network[i].factors]
    assert all(so.significand(5).contains(f) for f in found)
    assert all(bool((f[z] == 0).all()) for f, z in zip(found, zeros, strict=True))
    assert report.network is not None
    expected = report.network.run(operand.double().numpy())
    np.testing.assert_allclose(network(operand).detach().numpy(), expected, 1e-4, 1e-5)


def test_casts_change_nothing() -> None:
    layer = so.KroneckerLinear(8, 8, so.Architecture.square_dyadic(8))
    so.quantize(layer, "e4m3")
    for factor in layer.factors:
        assert torch.equal(factor, factor.to(torch.float8_e4m3fn).to(factor.dtype))


@pytest.mark.parametrize(("form", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_stored(form: str, dtype: torch.dtype) -> None:
    network = model()
    report = so.quantize(network, form, layers="kronecker", store=True)
    assert all(f.dtype == dtype for f in network[0].factors)
    assert report.layers[0].bytes == 2 * (report.layers[0].values + 16)
    assert report.layers[0].stored == str(dtype).removeprefix("torch.")
    assert network[0](torch.ones(2, 16, dtype=dtype)).dtype == dtype


def test_layers_of_sixteen_bits() -> None:
    report = so.quantize(model(torch.bfloat16), 4, layers="kronecker")
    assert 0.0 < report.layers[0].relative_error < 0.1


def test_a_relative_error() -> None:
    report = so.quantize(model(), relative_error=1e-2, passes=1)
    assert all(layer.relative_error <= 1e-2 for layer in report.layers)
    assert all(layer.bits_after < layer.bits_before for layer in report.layers)


def test_what_torch_cannot_hold_is_said() -> None:
    for form, words in (("int8", "torch has no dtype for int8"), ("e4m3", "float8_e4m3fn")):
        layer = so.KroneckerLinear(8, 8, so.Architecture.square_dyadic(8))
        bias = layer.bias.detach().clone()
        row = so.quantize(layer, form, store=True).layers[0]
        assert words in row.stored
        assert layer.factors[0].dtype == torch.float32
        assert torch.equal(bias, layer.bias)


@pytest.mark.parametrize("form", ["int8", "int4", "e2m1"])
def test_integers_have_a_power_of_two_for_each_factor(form: str) -> None:
    layer = so.KroneckerLinear(16, 16, so.Architecture.square_dyadic(16))
    before = weight(layer)
    row = so.quantize(layer, form).layers[0]
    grid, scales = so.NumberFormat(form), 0
    for factor in layer.factors:
        values = factor.detach().double().numpy()
        shifts = [k for k in range(-40, 10) if grid.contains(np.ldexp(values, k))]
        assert shifts
        scales += 0 not in shifts
    assert row.bits_after >= grid.bits * row.values
    error = np.linalg.norm(before - weight(layer)) / np.linalg.norm(before)
    assert error == pytest.approx(row.relative_error, rel=1e-4)
    assert error < row.nearest_relative_error < 1.0


@pytest.mark.parametrize("patterns", ["dyadic", "monarch"])
@pytest.mark.parametrize("form", ["int8", 3])
def test_inputs_are_weighed(patterns: str, form: str | int) -> None:
    torch.manual_seed(0)
    chain = so.Architecture.square_dyadic(16)
    if patterns == "monarch":
        chain = so.Architecture.monarch(16, 16, 4, 4)
    layer = so.KroneckerLinear(16, 16, chain)
    twin = copy.deepcopy(layer)
    inputs = torch.randn(100, 16) * torch.logspace(-2, 1, 16)
    moments = inputs.double().square().mean(dim=0).numpy()
    before = weight(layer) * np.sqrt(moments)
    plain = so.quantize(layer, form, layers="kronecker").layers[0]
    row = so.quantize(twin, form, inputs=inputs, weigh_inputs=True).layers[0]
    errors = [
        np.linalg.norm(weight(one) * np.sqrt(moments) - before) / np.linalg.norm(before)
        for one in (layer, twin)
    ]
    assert errors[1] <= errors[0] * (1 + 1e-6)
    assert errors[1] == pytest.approx(row.input_error, rel=1e-4)
    assert plain.input_error is None
    assert "for its inputs" in str(row)
    error = np.linalg.norm(weight(twin) * np.sqrt(moments) - before) / np.linalg.norm(before)
    assert error == errors[1]
    unweighted = np.linalg.norm(before / np.sqrt(moments) - weight(twin))
    size = np.linalg.norm(before / np.sqrt(moments))
    assert unweighted / size == pytest.approx(row.relative_error, rel=1e-4)
    if patterns == "monarch" or form == "int8":
        assert errors[1] < errors[0]


def test_the_weighed_pair_is_the_best_for_two_factors() -> None:
    """Against the terms solved one by one, from the definition."""
    torch.manual_seed(1)
    chain = so.Architecture.monarch(4, 4, 2, 2)
    layer = so.KroneckerLinear(4, 4, chain, bias=False, dtype=torch.float64)
    given = [f.detach().numpy().copy() for f in layer.factors]
    inputs = torch.tensor(np.diag([3.0, 1.0, 0.1, 2.0]))
    moments = inputs.square().mean(dim=0).numpy()
    best = 0.0
    x, y = given[0].transpose(0, 2, 3, 1), given[1].transpose(0, 1, 3, 2)
    weights = np.broadcast_to(
        moments.reshape(given[1].shape[0], 1, -1, given[1].shape[3]), y.transpose(0, 1, 3, 2).shape
    )
    rows = weights.transpose(0, 1, 3, 2).reshape(-1, y.shape[-1])
    terms = zip(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), rows, strict=True)
    for left, right, m in terms:
        problem = so.RankOneQuantization(left, right, 3, 3, weights_y=m)
        answer = so.solve(problem).answer
        apart = np.outer(left, right) - answer.to_dense()
        best += float((np.square(apart) @ m).sum())
    so.quantize(layer, 3, inputs=inputs, weigh_inputs=True)
    now = [f.detach().numpy() for f in layer.factors]
    apart = (
        so.KroneckerProduct(given, chain).to_dense() - so.KroneckerProduct(now, chain).to_dense()
    )
    found = float((np.square(apart) @ moments).sum())
    assert found == pytest.approx(best, rel=1e-9)


def test_bad_input() -> None:
    layer = so.KroneckerLinear(8, 8, so.Architecture.square_dyadic(8))
    with pytest.raises(so.ProblemError, match="no plugin reads"):
        so.quantize(np.eye(2), 4)
    with pytest.raises(so.ProblemError, match="no KroneckerLinear"):
        so.quantize(torch.nn.Linear(2, 2), 4, layers="kronecker")
    with pytest.raises(so.ProblemError, match="no KroneckerLinear"):
        so.quantize(torch.nn.Linear(2, 2), relative_error=0.1)
    with pytest.raises(so.ProblemError, match="a format, or a relative error"):
        so.quantize(layer)
    with pytest.raises(so.ProblemError, match="weigh_inputs takes"):
        so.quantize(layer, 4, weigh_inputs=True)
    with pytest.raises(so.ProblemError, match="or leave them as they are"):
        so.quantize(model(), 4)


def test_layers_share_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt.tools.quantizing import kronecker

    limits: list[object] = []

    def solve(*given: object, **options: object) -> object:
        limits.append(options.get("time_limit"))
        return so.solve(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(kronecker, "solve", solve)
    so.quantize(model(), "e4m3", layers="kronecker")
    assert limits == [None, None]
    so.quantize(model(), "e4m3", layers="kronecker", time_limit=600.0)
    first, second = limits[2:]
    assert isinstance(first, float)
    assert isinstance(second, float)
    assert 200.0 < first <= 300.0 < second <= 600.0


def test_a_short_time_limit_gives_rounding_to_nearest_or_better() -> None:
    report = so.quantize(model(), "e4m3", layers="kronecker", time_limit=1e-3)
    assert all(row.relative_error <= row.nearest_relative_error for row in report.layers)


def test_entries_far_apart_are_not_lost_by_the_scale() -> None:
    """1e30 and 1e-30 in one factor: over its scale the second would be 0 in single precision."""
    patterns = so.Architecture([(1, 2, 2, 1)] * 2)
    layer = so.KroneckerLinear(2, 2, patterns, bias=False)
    with torch.no_grad():
        for factor, diagonal in zip(layer.factors, ([1e30, 1e-30], [0.0, 1e30]), strict=True):
            factor.copy_(torch.diag(torch.tensor(diagonal)).reshape(1, 2, 2, 1))
    before = weight(layer)
    report = so.quantize(torch.nn.Sequential(layer), "int8", layers="kronecker")
    error = np.linalg.norm(before - weight(layer)) / np.linalg.norm(before)
    assert error <= report.layers[0].relative_error


def double_layer(first: list[float], second: list[float]) -> torch.nn.Module:
    """A layer of a column and a row, in double precision."""
    patterns = so.Architecture([(1, 1, 2, 1), (2, 1, 1, 1)])
    layer = so.KroneckerLinear(2, 1, patterns, bias=False, dtype=torch.float64)
    with torch.no_grad():
        for factor, values in zip(layer.factors, (first, second), strict=True):
            factor.copy_(torch.tensor(values, dtype=torch.float64).reshape(factor.shape))
    return torch.nn.Sequential(layer)


def test_what_no_double_holds_is_not_quantized() -> None:
    """1e-300 over the scale of 1e300 is 0: the product [[1, 1]] was taken for zero."""
    network = double_layer([1e300, 1e-300], [1e-300, 1e300])
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(so.ProblemError, match=r"does not hold factor 0 of layer '0' times 2\^"):
        so.quantize(network, "int8", layers="kronecker")
    assert all(torch.equal(f, before[name]) for name, f in network.state_dict().items())


def test_the_least_doubles_have_a_scale() -> None:
    """Its inverse, 2^1074, is no double."""
    report = so.quantize(double_layer([5e-324, 1e-323], [1.0, 1.0]), "int8", layers="kronecker")
    assert report.layers[0].relative_error == 0.0
