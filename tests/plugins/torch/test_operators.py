"""Every supported PyTorch operator against PyTorch itself."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sparseopt as so

torch.manual_seed(0)

A, B, C = torch.randn(4, 1, 1), torch.randn(6, 5), torch.randn(5)
STACK = torch.randn(3, 5, 2)
IMAGE, ROW = (1, 4, 6, 5), (1, 6)


class Function(nn.Module):
    """A module of one function."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def frozen(module: nn.Module) -> nn.Module:
    """Return a batch normalization with random statistics, in evaluation mode."""
    for tensor in (module.running_mean, module.weight, module.bias):
        if tensor is not None:
            nn.init.normal_(tensor)
    nn.init.uniform_(module.running_var, 0.5, 2.0)
    return module.eval()


def assigned(x: torch.Tensor) -> torch.Tensor:
    """Overwrite parts of a copy by constants and by values."""
    y = 2 * x
    y[:, 0] = 0
    y[:, 1, ::2] = 1.5
    y[:, 2:] += x[:, :2]
    y[:, [1, 3], 0] = x[:, [0, 2], 1]
    return y


def shifted(x: torch.Tensor) -> torch.Tensor:
    """Shift channels in opposite directions, as networks on video do."""
    y = torch.zeros_like(x)
    y[:, :2, :-1] = x[:, :2, 1:]
    y[:, 2:, 1:] = x[:, 2:, :-1]
    return y


def copied(x: torch.Tensor) -> torch.Tensor:
    """Copy into a constant, and change parts in place."""
    y = torch.ones(1, 6)
    y.copy_(x[:, :6])
    y[:, ::2].mul_(3)
    y[:, -2:].relu_()
    return y


MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "conv1d": (nn.Conv1d(2, 3, 3, 2, 1), (1, 2, 7)),
    "conv2d": (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), groups=2), IMAGE),
    "conv2d-same": (nn.Conv2d(4, 2, (4, 3), padding="same", dilation=(1, 2)), IMAGE),
    "conv2d-valid": (nn.Conv2d(4, 2, 2, padding="valid", bias=False), IMAGE),
    "conv2d-reflect": (nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect"), IMAGE),
    "conv2d-circular": (nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular"), IMAGE),
    "conv2d-unbatched": (nn.Conv2d(1, 2, 2), (1, 5, 4)),
    "conv3d": (nn.Conv3d(2, 2, (2, 1, 3), padding=(1, 0, 1)), (1, 2, 3, 3, 3)),
    "transposed1d": (nn.ConvTranspose1d(2, 3, 3, 2, 1, 1), (1, 2, 4)),
    "transposed2d": (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, dilation=2), IMAGE),
    "transposed3d": (nn.ConvTranspose3d(1, 2, 2, 2), (1, 1, 2, 2, 2)),
    "linear": (nn.Linear(6, 3), ROW),
    "linear-positions": (nn.Linear(5, 3), IMAGE),
    "bilinear-off": (Function(lambda x: F.linear(x, B.T)), ROW),
    "matmul": (Function(lambda x: x @ B), ROW),
    "matmul-left": (Function(lambda x: B @ x), (1, 5, 3)),
    "matmul-stacks": (Function(lambda x: x @ STACK.mT), (1, 3, 4, 2)),
    "matmul-stacks-left": (Function(lambda x: STACK @ x), (1, 3, 2, 4)),
    "matmul-one-on-a-stack": (Function(lambda x: STACK @ x), (1, 1, 2, 4)),
    "matmul-stack-on-a-vector": (Function(lambda x: STACK @ x[0]), (1, 2)),
    "bmm": (Function(lambda x: torch.bmm(STACK, x[0])), (1, 3, 2, 4)),
    "einsum-kronecker": (
        Function(lambda x: torch.einsum("nacd,abcd->nabd", x, STACK[..., None] * STACK[0, 1])),
        (1, 3, 2, 2),
    ),
    "matvec": (Function(lambda x: x @ C), (1, 2, 5)),
    "addmm": (Function(lambda x: torch.addmm(C, x, B, alpha=0.5, beta=2.0)), ROW),
    "addmm-value": (Function(lambda x: torch.addmm(x[:, :5], x, B, beta=-1.0)), ROW),
    "batchnorm1d": (frozen(nn.BatchNorm1d(6)), ROW),
    "batchnorm2d": (frozen(nn.BatchNorm2d(4)), IMAGE),
    "batchnorm3d": (frozen(nn.BatchNorm3d(2)), (1, 2, 2, 2, 2)),
    "batchnorm-plain": (frozen(nn.BatchNorm2d(4, affine=False)), IMAGE),
    "batchnorm-after": (nn.Sequential(nn.ReLU(), frozen(nn.BatchNorm2d(4))), IMAGE),
    "relu": (nn.ReLU(inplace=True), IMAGE),
    "relu6": (nn.ReLU6(), IMAGE),
    "hardtanh": (nn.Hardtanh(-0.5, 2.0, inplace=True), IMAGE),
    "leaky": (nn.LeakyReLU(0.2), IMAGE),
    "rrelu": (nn.RReLU().eval(), IMAGE),
    "prelu": (nn.PReLU(4), IMAGE),
    "prelu-one": (nn.PReLU(), ROW),
    "hardsigmoid": (nn.Hardsigmoid(), IMAGE),
    "threshold": (nn.Threshold(0.5, 0.5), IMAGE),
    "abs": (Function(torch.abs), IMAGE),
    "clamp": (Function(lambda x: x.clamp(-0.3, 0.8)), IMAGE),
    "clamp-min": (Function(lambda x: x.clamp_min(0.2)), IMAGE),
    "clip-max": (Function(lambda x: torch.clip(x, max=0.2)), IMAGE),
    "arithmetic": (Function(lambda x: 2 * x - x / 3 + 1 - (-x) + A), IMAGE),
    "rsub": (Function(lambda x: 1 - x), IMAGE),
    "sub-alpha": (Function(lambda x: torch.sub(x, x.flip(1), alpha=3)), IMAGE),
    "add-alpha": (Function(lambda x: torch.add(A, x, alpha=3)), IMAGE),
    "iadd": (Function(lambda x: (x * 2).add_(1.0).mul_(3.0)), IMAGE),
    "maximum": (Function(lambda x: torch.maximum(x, x.roll(1, 1))), IMAGE),
    "minimum": (Function(lambda x: torch.minimum(x, A)), IMAGE),
    "max-other": (Function(lambda x: torch.max(x, x.flip(2, 3))), IMAGE),
    "maxpool1d": (nn.MaxPool1d(3, 2, 1), (1, 2, 8)),
    "maxpool2d": (nn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2)), IMAGE),
    "maxpool2d-ceil": (nn.MaxPool2d(2, ceil_mode=True), (1, 2, 5, 5)),
    "maxpool3d": (nn.MaxPool3d(2), (1, 1, 4, 3, 2)),
    "avgpool1d": (nn.AvgPool1d(3, 2, 1, ceil_mode=True), (1, 2, 8)),
    "avgpool2d": (nn.AvgPool2d(3, 2, 1), IMAGE),
    "avgpool2d-ceil": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 1, 6, 6)),
    "avgpool2d-inside": (nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True), IMAGE),
    "avgpool2d-divisor": (nn.AvgPool2d(2, divisor_override=3), IMAGE),
    "avgpool3d": (nn.AvgPool3d(2, 1), (1, 1, 3, 3, 3)),
    "adaptive-avg1d": (nn.AdaptiveAvgPool1d(3), (1, 2, 8)),
    "adaptive-avg": (nn.AdaptiveAvgPool2d((3, 7)), (1, 2, 8, 1)),
    "adaptive-avg-none": (nn.AdaptiveAvgPool2d((None, 2)), IMAGE),
    "adaptive-avg3d": (nn.AdaptiveAvgPool3d(2), (1, 1, 3, 4, 5)),
    "adaptive-max": (nn.AdaptiveMaxPool2d((2, 3)), IMAGE),
    "adaptive-max1d": (nn.AdaptiveMaxPool1d(2), (1, 2, 5)),
    "mean": (Function(lambda x: x.mean((2, 3))), IMAGE),
    "mean-all": (Function(lambda x: x.mean()), ROW),
    "sum": (Function(lambda x: x.sum(1, keepdim=True)), IMAGE),
    "amax": (Function(lambda x: x.amax((2, 3))), IMAGE),
    "amin": (Function(lambda x: x.amin(1, keepdim=True)), IMAGE),
    "max-dim": (Function(lambda x: x.max(2).values), IMAGE),
    "min-dim": (Function(lambda x: x.min(-1, keepdim=True)[0]), IMAGE),
    "max-all": (Function(lambda x: x.max()), ROW),
    "flatten": (nn.Flatten(), IMAGE),
    "flatten-part": (Function(lambda x: x.flatten(1, 2)), IMAGE),
    "unflatten": (nn.Unflatten(1, (2, -1)), IMAGE),
    "view": (Function(lambda x: x.view(x.size(0), -1)), IMAGE),
    "squeeze": (Function(lambda x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze()), IMAGE),
    "unsqueeze": (Function(lambda x: x[:, None].unsqueeze(-1)), IMAGE),
    "permute": (Function(lambda x: x.permute(0, 2, 3, 1)), IMAGE),
    "transpose": (Function(lambda x: x.transpose(1, -1).contiguous()), IMAGE),
    "t": (Function(lambda x: x.t().t() @ B), ROW),
    "movedim": (Function(lambda x: x.movedim(1, -1)), IMAGE),
    "cat": (Function(lambda x: torch.cat([x, x[:, :2]], 1)), IMAGE),
    "stack": (Function(lambda x: torch.stack([x, 2 * x], 2)), IMAGE),
    "cat-constant": (Function(lambda x: torch.cat([x, torch.ones(1, 2, 6, 5)], 1)), IMAGE),
    "cat-zeros": (Function(lambda x: torch.cat([x, x.new_zeros(1, 2, 6, 5)], 1)), IMAGE),
    "stack-constant": (Function(lambda x: torch.stack([x, torch.ones_like(x)], 1)), IMAGE),
    "masked": (Function(lambda x: x.masked_fill(torch.arange(5) > 2, 3.0)), IMAGE),
    "chunk": (Function(lambda x: x.chunk(2, 1)[1]), IMAGE),
    "split": (Function(lambda x: x.split(3, 1)[1] + x.split([1, 3], 1)[0]), IMAGE),
    "unbind": (Function(lambda x: x.unbind(1)[2]), IMAGE),
    "slice": (Function(lambda x: x[:, 1:, ::2, -2:]), IMAGE),
    "narrow": (Function(lambda x: x.narrow(1, 1, 2)), IMAGE),
    "select": (Function(lambda x: x[:, -1]), IMAGE),
    "index": (Function(lambda x: x[:, [2, 0, 0]]), IMAGE),
    "index-select": (Function(lambda x: x.index_select(2, torch.tensor([3, 1]))), IMAGE),
    "flip": (Function(lambda x: x.flip(1, 3)), IMAGE),
    "roll": (Function(lambda x: x.roll((1, -2), (1, 2))), IMAGE),
    "expand": (Function(lambda x: x[:, :1].expand(-1, 3, -1, -1)), IMAGE),
    "expand as": (Function(lambda x: x.mean((2, 3), keepdim=True).expand_as(x).relu() + x), IMAGE),
    "a constant, expand as": (
        Function(lambda x: x * torch.arange(4.0)[:, None, None].expand_as(x)),
        IMAGE,
    ),
    "broadcast to": (Function(lambda x: torch.broadcast_to(x[:, :1], x.shape) - x), IMAGE),
    "repeat": (Function(lambda x: x.repeat(1, 2, 1, 1)), IMAGE),
    "pad": (Function(lambda x: F.pad(x, (1, 2, -1, 0))), IMAGE),
    "pad-number": (nn.ConstantPad2d((1, 0, -1, 2), 2.5), IMAGE),
    "pad-around": (nn.CircularPad2d((1, 2, 0, 1)), IMAGE),
    "pad-reflect": (nn.ReflectionPad2d((1, 2, 0, 1)), IMAGE),
    "pad-replicate": (nn.ReplicationPad2d(1), IMAGE),
    "zero-pad": (nn.ZeroPad2d(1), IMAGE),
    "pixel-shuffle": (nn.PixelShuffle(2), IMAGE),
    "pixel-unshuffle": (nn.PixelUnshuffle(2), (1, 2, 4, 6)),
    "channel-shuffle": (nn.ChannelShuffle(2), IMAGE),
    "nearest": (nn.Upsample(scale_factor=2), IMAGE),
    "nearest-odd": (nn.Upsample(size=(7, 11)), IMAGE),
    "nearest-scale": (Function(lambda x: F.interpolate(x, scale_factor=1.7)), IMAGE),
    "nearest-exact": (Function(lambda x: F.interpolate(x, (4, 9), mode="nearest-exact")), IMAGE),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    "bilinear-odd": (Function(lambda x: F.interpolate(x, (9, 3), mode="bilinear")), IMAGE),
    "bilinear-corners": (nn.Upsample(size=(9, 7), mode="bilinear", align_corners=True), IMAGE),
    "linear-up": (nn.Upsample(scale_factor=1.5, mode="linear"), (1, 2, 5)),
    "trilinear": (nn.Upsample(scale_factor=2, mode="trilinear"), (1, 1, 2, 2, 2)),
    "dropout": (nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(), nn.Identity()).eval(), IMAGE),
    "einsum": (Function(lambda x: torch.einsum("nchw,wk->nkch", x, B.T)), IMAGE),
    "einsum-among-others": (
        Function(
            lambda x: F.leaky_relu(torch.einsum("nchw,wk->nckh", x, B.T), 0.2).masked_fill(
                torch.arange(6) > 3, 1.0
            )
        ),
        IMAGE,
    ),
    "tensordot": (Function(lambda x: torch.tensordot(x, B, dims=([1], [0]))), ROW),
    "all-axes": (Function(lambda x: (x.T * 2).T), ROW),
    "assigned": (Function(assigned), IMAGE),
    "shifted": (Function(shifted), IMAGE),
    "copied": (Function(copied), ROW),
    "clone": (Function(lambda x: x.clone().detach().to(torch.float32) * 2), IMAGE),
    "sort": (Function(lambda x: x.sort(1)[0] * C.new_tensor([1.0, 2, 3, -1, 2, 0.5])), ROW),
    "sort-descending": (Function(lambda x: torch.sort(x, 2, descending=True)[0]), IMAGE),
    "sort-stable": (Function(lambda x: torch.sort(x, dim=1, stable=True)[0][:, :2]), ROW),
    "msort": (Function(lambda x: torch.msort(x[0])), IMAGE),
    "group-sort": (Function(lambda x: x.reshape(-1, 3, 2).sort(-1)[0].flatten(1)), ROW),
    "max-min": (
        Function(
            lambda x: torch.cat([torch.maximum(*x.chunk(2, 1)), torch.minimum(*x.chunk(2, 1))], 1)
        ),
        ROW,
    ),
    "topk": (Function(lambda x: x.topk(3, 1)[0] @ B[:3]), ROW),
    "topk-smallest": (Function(lambda x: x.topk(2, -1, largest=False)[0]), IMAGE),
    "topk-one": (Function(lambda x: x.topk(1, 1, sorted=False).values), IMAGE),
    "kthvalue": (Function(lambda x: x.kthvalue(2, 1, keepdim=True)[0]), ROW),
    "median-even": (Function(lambda x: x.median(1)[0]), IMAGE),
    "median-odd": (Function(lambda x: x.median(3, keepdim=True)[0]), IMAGE),
    "median-all": (Function(lambda x: x.median().reshape(1, 1)), ROW),
    "max-pool-of-minus-infinity": (
        Function(lambda x: F.max_pool2d(F.pad(x, (1, 0, 0, 2), value=-torch.inf), 3, 2)),
        IMAGE,
    ),
    "max-pool-of-lowest": (
        Function(
            lambda x: F.max_pool2d(F.pad(x, (1, 2), value=torch.finfo(torch.float32).min), 3, 2, 1)
        ),
        IMAGE,
    ),
    "instance-norm-tracked": (
        frozen(nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
        IMAGE,
    ),
    "dropout-none": (nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.0).train()), ROW),
    "softshrink": (nn.Softshrink(0.75), ROW),
    "where-leaky": (Function(lambda x: torch.where(x > 0, x, 0.25 * x)), ROW),
    "where-steep": (Function(lambda x: torch.where(x >= 0, x, -3 * x)), ROW),
    "where-knot": (Function(lambda x: torch.where(x < 0.5, 2 * x - 1, 0.5 - x)), ROW),
    "where-slopes": (Function(lambda x: torch.where(x <= 0, x * A, x)), IMAGE),
    "where-constant-branch": (Function(lambda x: torch.where(x < 0.5, x, 0.5)), ROW),
    "where-other-side": (Function(lambda x: torch.where(x < 0, torch.zeros(6), x)), ROW),
    "where-nested": (
        Function(lambda x: torch.where(x > 1, x - 1, torch.where(x < -1, x + 1, 0 * x))),
        ROW,
    ),
    "where-nested-twice": (
        Function(lambda x: torch.where(x < -1, x + 1, torch.where(~(x > 1), 0.0, x - 1))),
        ROW,
    ),
    "where-clip": (
        Function(lambda x: (lambda y: torch.where(y > 2, 2.0, y))(torch.where(x < -1, -1.0, x))),
        ROW,
    ),
    "where-mask": (
        Function(lambda x: torch.where(C.new_tensor([1, 0, 1, 0, 0, 1]) > 0, x, 2 - x)),
        ROW,
    ),
    "masked-fill-condition": (Function(lambda x: (x - 1).masked_fill(x < 1, 0.0)), ROW),
    "cumsum": (Function(lambda x: x.cumsum(2)), IMAGE),
    "gather": (Function(lambda x: x.gather(1, torch.tensor([[2, 0, 2]]))), ROW),
    "take-along": (Function(lambda x: x.take_along_dim(torch.tensor([[5, 1]]), 1)), ROW),
    "unfold-axis": (Function(lambda x: x.unfold(2, 3, 2)), IMAGE),
    "diagonal": (Function(lambda x: x.diagonal(0, 2, 3)), IMAGE),
    "triu": (Function(lambda x: x.triu(1)), IMAGE),
    "tril": (Function(lambda x: x.tril(-1)), IMAGE),
    "unfold": (nn.Unfold((3, 2), 2, (1, 0), (2, 1)), IMAGE),
    "fold": (nn.Sequential(nn.Unfold(3, padding=1), nn.Fold((6, 5), 3, padding=1)), IMAGE),
    "fold-stride": (
        Function(lambda x: F.fold(x.reshape(1, 12, 10), (5, 6), (3, 2), stride=(2, 1))),
        IMAGE,
    ),
    "scatter-add": (
        Function(lambda x: x.scatter_add(1, torch.tensor([[0, 0, 3]]), 2 * x[:, 1:5])),
        ROW,
    ),
    "scatter-add-constant": (
        Function(lambda x: torch.ones(1, 4).scatter_add(1, torch.tensor([[0, 0, 3, 1, 3, 3]]), x)),
        ROW,
    ),
    "scatter": (Function(lambda x: x.scatter(1, torch.tensor([[4, 1]]), 3 * x[:, :2])), ROW),
    "scatter-value": (Function(lambda x: x.scatter(1, torch.tensor([[4, 1]]), 0.5)), ROW),
    "index-add": (
        Function(lambda x: x.index_add(1, torch.tensor([3, 0, 3]), x[:, :3] * A[:3])),
        IMAGE,
    ),
    "index-put-add": (
        Function(
            lambda x: x.index_put(
                (torch.tensor([0, 0, 0]), torch.tensor([1, 1, 2])), x[0, :3], True
            )
        ),
        ROW,
    ),
}


@functools.cache
def loaded(name: str) -> so.Network:
    """Return the network of a module, exported once for all tests."""
    module, shape = MODULES[name]
    return so.load_network(module, example=torch.zeros(shape))


@pytest.mark.parametrize("name", list(MODULES))
def test_agrees_with_pytorch(name: str) -> None:
    module, shape = MODULES[name]
    network = loaded(name)
    for scale in (1.0, 10.0):
        x = scale * torch.randn(shape)
        with torch.no_grad():
            right = module(x.clone()).numpy()
        found = network.run(x.numpy().reshape(network.input_shape))
        assert found.size == right.size
        np.testing.assert_allclose(found.ravel(), right.ravel(), rtol=2e-5, atol=2e-5 * scale)


@pytest.mark.parametrize("name", list(MODULES))
def test_norms_agree_with_the_unrolled_neurons(name: str) -> None:
    network = loaded(name)
    again = so.load_network(network.unroll())
    ends = [network.neurons.labels[j] for j in network.neurons.outputs]
    order = [(again.output_labels or ()).index(label) for label in ends]
    for q in (0, 1, 2):
        first = so.solve(so.PathNorm(network, q)).answer.per_output_log10.ravel()
        second = so.solve(so.PathNorm(again, q)).answer.per_output_log10[order]
        np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(MODULES))
def test_the_solver_in_pytorch_agrees(name: str) -> None:
    problem = so.PathNorm(loaded(name), 2.5)
    right = so.solve(problem, solver="one_pass").answer
    wide = so.solve(problem, solver="one_pass_torch").answer
    np.testing.assert_allclose(wide.per_output_log10, right.per_output_log10, atol=1e-12)
    narrow = so.solve(problem, solver="one_pass_torch", dtype="float32").answer
    assert narrow.log10 == pytest.approx(right.log10, abs=1e-5)
    assert narrow.tolerance > 1e-6
