"""Training on two workers: gradients are those of one process, and checkpoints hold."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

WORKER = """
import io, sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint
import sparseopt as so


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        so.KroneckerConv2d(2, 4, 3, so.Architecture.monarch(4, 18, 2, 3), padding=1),
        nn.ReLU(),
        nn.Flatten(),
        so.KroneckerLinear(64, 64, so.Architecture.square_dyadic(64)),
        nn.ReLU(),
        so.KroneckerLinear(64, 6, so.Architecture.monarch(6, 64, 2, 4)),
    ).double()


def loss_of(module, plain, x):
    return module(x).square().mean() + 1e-3 * so.path_norm(plain, x[:1], q=2, r=1, log=True)


rank = int(sys.argv[1])
dist.init_process_group("gloo", rank=rank, world_size=2)
x = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
own = x[4 * rank : 4 * rank + 4]

alone, shared = model(), model()
loss_of(alone, alone, x).backward()
spread = DistributedDataParallel(shared)
loss_of(spread, shared, own).backward()
for one, two in zip(alone.parameters(), shared.parameters(), strict=True):
    torch.testing.assert_close(two.grad, one.grad, rtol=1e-9, atol=1e-12)

for step in range(3):
    for module, part in ((alone, x), (spread, own)):
        optimizer = torch.optim.SGD(module.parameters(), 0.01)
        optimizer.zero_grad()
        module(part).square().mean().backward()
        optimizer.step()
for one, two in zip(alone.parameters(), shared.parameters(), strict=True):
    torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-12)

file = io.BytesIO()
torch.save(spread.module.state_dict(), file)
file.seek(0)
again = model()
again.load_state_dict(torch.load(file, weights_only=True))
torch.testing.assert_close(again(x), shared(x), rtol=0, atol=0)

again.zero_grad()
checkpoint(again, x, use_reentrant=False).square().mean().backward()
kept = [p.grad.clone() for p in again.parameters()]
again.zero_grad()
again(x).square().mean().backward()
for one, parameter in zip(kept, again.parameters(), strict=True):
    torch.testing.assert_close(one, parameter.grad, rtol=1e-12, atol=1e-14)

whole, compiled = model(), model()
whole(x).square().mean().backward()
fast = torch.compile(DistributedDataParallel(compiled), backend="aot_eager")
fast(own).square().mean().backward()
for one, two in zip(whole.parameters(), compiled.parameters(), strict=True):
    torch.testing.assert_close(two.grad, one.grad, rtol=1e-9, atol=1e-12)
dist.destroy_process_group()
print("the same")
"""


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_workers_train_as_one_process(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    workers = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [worker.communicate(timeout=600) for worker in workers]
    assert [out.strip() for out, _ in said] == ["the same"] * 2, said
