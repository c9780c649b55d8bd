"""`so.path_norm`: values against `PathNorm`, gradients against finite differences, refusals."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import sparseopt as so

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


class Mixed(nn.Module):  # type: ignore[misc]
    """Most layers there are: normalizations, a skip, pools, a shared layer, a raw parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.n = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.plain = nn.BatchNorm2d(4, affine=False)
        self.t = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.f = nn.Linear(12, 5)
        self.g = nn.Linear(5, 5)
        self.w = nn.Parameter(torch.randn(3, 5))

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.n(self.a(x)))
        y = nn.functional.relu6(self.plain(self.b(y)) + y)
        y = nn.functional.max_pool2d(y, 2)
        y = nn.functional.avg_pool2d(torch.relu(self.t(y)), 2)
        y = torch.relu(self.f(y.flatten(1)))
        y = torch.relu(self.g(torch.relu(self.g(y))))
        return nn.functional.linear(y, self.w)


def mixed(dtype: Any = torch.float64) -> tuple[Any, Any]:
    torch.manual_seed(0)
    net = Mixed().double().eval()
    for norm in (net.n, net.plain):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(net.n.weight)
    nn.init.normal_(net.n.bias)
    return net.to(dtype), torch.randn(1, 2, 4, 4, dtype=dtype)


def right(net: Any, x: Any, q: float, r: float) -> float:
    answer = so.solve(so.PathNorm(so.load_network(net, x), q=q, r=r)).answer
    return float(answer.value)


@pytest.fixture(scope="module")
def both() -> Any:
    return mixed(), so.load_network(*mixed()), mixed(torch.float32)


@pytest.mark.parametrize("q", [1, 2, 1.5, 7])
@pytest.mark.parametrize("r", [1, 2, math.inf])
def test_it_is_the_path_norm(both: Any, q: float, r: float) -> None:
    (net, x), network, (narrow, y) = both
    value = so.solve(so.PathNorm(network, q=q, r=r)).answer.value
    assert so.path_norm(net, x, q, r).item() == pytest.approx(value, rel=1e-9)
    logarithm = so.path_norm(net, x, q, r, log=True)
    assert logarithm.item() == pytest.approx(math.log(value), rel=1e-9)
    found = so.path_norm(narrow, y, q, r)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(("q", "r"), [(1, 1), (2, 1), (2, 2), (3, math.inf)])
def test_the_gradient_passes_gradcheck(q: float, r: float) -> None:
    net, x = mixed()
    names = [name for name, _ in net.named_parameters()]

    def function(*tensors: Any) -> Any:
        with torch.no_grad():
            for name, tensor in zip(names, tensors, strict=True):
                dict(net.named_parameters())[name].copy_(tensor)
        value = so.path_norm(net, x, q, r, log=True)
        grads = torch.autograd.grad(value, list(net.parameters()))
        return Known.apply(value.detach(), grads, *tensors)

    class Known(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, value: Any, grads: Any, *tensors: Any) -> Any:
            context.grads = grads
            return value.clone()

        @staticmethod
        def backward(context: Any, given: Any) -> Any:  # type: ignore[override]
            return (None, None, *(given * g for g in context.grads))

    start = [p.detach().clone().requires_grad_() for p in net.parameters()]
    assert torch.autograd.gradcheck(function, start, fast_mode=True, atol=1e-6, rtol=1e-4)


def test_the_gradient_is_the_difference_of_path_norms_by_another_route() -> None:
    net, x = mixed()
    so.path_norm(net, x).backward()
    rng = np.random.default_rng(0)
    for name in ("a.weight", "n.weight", "n.bias", "g.weight", "w"):
        parameter = dict(net.named_parameters())[name]
        flat = parameter.detach().view(-1)
        i = int(rng.integers(flat.numel()))
        old, step = float(flat[i]), 1e-6
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                flat[i] = old + sign * step
            values.append(right(net, x, 1, 1))
        with torch.no_grad():
            flat[i] = old
        slope = (values[0] - values[1]) / (2 * step)
        got = float(parameter.grad.view(-1)[i])
        assert got == pytest.approx(slope, rel=1e-4, abs=1e-4), name


def test_it_follows_training_and_leaves_the_mode() -> None:
    net, x = mixed(torch.float32)
    net.train()
    net.n.eval()
    modes = [m.training for m in net.modules()]
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    values = []
    for _ in range(5):
        optimizer.zero_grad()
        value = so.path_norm(net, x, log=True)
        value.backward()
        values.append(value.item())
        optimizer.step()
    assert [m.training for m in net.modules()] == modes
    assert values == sorted(values, reverse=True)
    assert math.exp(values[-1]) < 0.9 * math.exp(values[0])
    later = so.path_norm(net, log=True).item()  # the example is known by now
    assert math.exp(later) == pytest.approx(right(net.eval(), x, 1, 1), rel=1e-4)


def test_zero_biases_get_gradients_and_dead_networks_none_that_is_not_a_number() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    nn.init.zeros_(net[0].bias)
    so.path_norm(net, q=2, r=2).backward()
    assert torch.isfinite(net[0].bias.grad).all()
    with torch.no_grad():
        net[0].bias.fill_(1.0)
    assert so.path_norm(net).item() == pytest.approx(right(net, torch.zeros(1, 2), 1, 1), rel=1e-5)
    for p in net.parameters():
        nn.init.zeros_(p)
    for q, r in ((1, 1), (2, 1), (2, 3)):
        net.zero_grad()
        value = so.path_norm(net, q=q, r=r)
        value.backward()
        assert value.item() == 0.0
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_masks_count_and_copies_have_their_own_plan() -> None:
    net, x = mixed(torch.float32)
    before = so.path_norm(net, x).item()
    so.prune(net, 0.5, "magnitude", example=x, exclude="g")
    after = so.path_norm(net, x)
    assert after.item() < before
    assert after.item() == pytest.approx(right(net, x, 1, 1), rel=1e-4)
    after.backward()
    assert net.n.weight.grad is not None
    assert bool((net.f.weight_orig.grad[net.f.weight_mask == 0] == 0).all())
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.f.weight_orig.mul_(2)
    assert so.path_norm(twin, x).item() != so.path_norm(net, x).item()
    assert so.path_norm(net, x).item() == pytest.approx(after.item())


class Switched(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.twice = nn.Linear(2, 2), False

    def forward(self, x: Any) -> Any:
        return self.fc(torch.relu(self.fc(x))) if self.twice else self.fc(x)


def test_a_setting_that_changes_is_seen() -> None:
    net = Switched()
    one = so.path_norm(net).item()
    net.twice = True
    two = so.path_norm(net).item()
    assert two == pytest.approx(right(net, torch.zeros(1, 2), 1, 1), rel=1e-5)
    assert one != two
    net.fc = nn.Linear(2, 2)
    other = right(net, torch.zeros(1, 2), 1, 1)
    assert so.path_norm(net).item() == pytest.approx(other, rel=1e-5)


class Held(nn.Module):  # type: ignore[misc]
    """Reads constants of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.register_buffer("gain", torch.ones(2))
        self.plain = torch.ones(2)
        self.listed = [1.0, 1.0]
        self.named = {"one": 1.0}

    def forward(self, x: Any) -> Any:
        x = self.fc(x) * self.gain * self.plain * self.named["one"]
        return x * self.listed[0]


def test_constants_that_change_are_seen() -> None:
    net = Held().eval()
    x = torch.zeros(1, 2)
    with torch.no_grad():
        changes = [
            lambda: net.gain.mul_(3.0),
            lambda: setattr(net, "gain", torch.full((2,), 0.5)),
            lambda: net.load_state_dict({**net.state_dict(), "gain": torch.full((2,), 7.0)}),
            lambda: net.plain.mul_(2.0),
            lambda: setattr(net, "plain", torch.full((2,), 0.25)),
            lambda: net.listed.__setitem__(0, 5.0),
            lambda: net.named.update(one=0.125),
        ]
    seen = [so.path_norm(net, x).item()]
    for change in changes:
        with torch.no_grad():
            change()
        seen.append(so.path_norm(net, x).item())
        assert seen[-1] == pytest.approx(right(net, x, 1, 1), rel=1e-5)
        assert seen[-1] != seen[-2]


def test_an_example_is_a_tensor() -> None:
    with pytest.raises(so.ProblemError, match="a tuple; path_norm takes modules of one input"):
        so.path_norm(Held(), (torch.zeros(1, 2),))


def test_deep_networks_need_the_logarithm() -> None:
    torch.manual_seed(0)
    layers = [part for _ in range(60) for part in (nn.Linear(64, 64), nn.ReLU())]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        for layer in net[::2]:
            layer.weight.mul_(5)
    with pytest.raises(so.ProblemError, match=r"2\*\*\d+, beyond the range of torch.float32"):
        so.path_norm(net)
    value = so.path_norm(net, log=True)
    value.backward()
    x = torch.zeros(1, 64)
    exact = so.solve(so.PathNorm(so.load_network(net, x))).answer.log10 * math.log(10)
    assert value.item() == pytest.approx(exact, rel=1e-5)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


class Product(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(3, 1)), nn.Parameter(torch.randn(1, 4))

    def forward(self, x: Any) -> Any:
        return torch.relu(nn.functional.linear(x, self.u @ self.v))


def test_what_is_not_followed_is_refused() -> None:
    x = torch.randn(1, 4)
    net = Product()
    with pytest.raises(so.ProblemError, match=r"parameter 'u' is no weight.*requires_grad_\(False"):
        so.path_norm(net, x)
    net.requires_grad_(False)
    assert so.path_norm(net, x).item() == pytest.approx(right(net, x, 1, 1), rel=1e-5)
    with pytest.raises(so.ProblemError, match="GELU"):
        so.path_norm(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
    with pytest.raises(so.ProblemError, match="pass example="):
        so.path_norm(nn.Sequential(nn.Conv2d(1, 1, 3)))
    with pytest.raises(so.ProblemError, match="for torch modules"):
        so.path_norm(so.load_network(nn.Linear(2, 2), torch.zeros(1, 2)))  # type: ignore[arg-type]
    for q, r, match in ((0.5, 1, "q must"), (math.inf, 1, "q must"), (1, 0, "r must")):
        with pytest.raises(so.ProblemError, match=match):
            so.path_norm(nn.Linear(2, 2), None, q, r)
    with pytest.raises(so.ProblemError, match="q must"):
        so.path_norm(nn.Linear(2, 2), q="1")  # type: ignore[arg-type]


def test_a_plan_does_not_keep_its_module() -> None:
    import gc
    import weakref

    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    so.path_norm(net)
    seen = weakref.ref(net)
    del net
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(dtype: Any) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.ReLU()).to(dtype)
    with pytest.raises(so.ProblemError, match="float32 or float64 is needed"):
        so.path_norm(net, torch.zeros(1, 3))
