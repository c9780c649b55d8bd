"""The path-norm of a module as a differentiable function of its parameters, for training."""

from __future__ import annotations

import math
import weakref
from collections.abc import Hashable
from typing import Any

import torch
from torch import nn

import sparseopt as so
from sparseopt.interface.printing import short
from sparseopt_pathnorm.live_parameters import Live, bindings
from sparseopt_pathnorm.live_pass import LivePass

_SIMPLE = (int, float, str, bool, tuple, list, dict, set, type(None))


def path_norm(
    module: nn.Module,
    example: Any = None,
    q: float = 1,
    r: float = 1,
    *,
    log: bool = False,
) -> torch.Tensor:
    """Return the path-norm of a module as a tensor with a gradient, to train with.

    The norm is ``|| (||Phi^(->j)||_q)_j ||_r``, j running over the outputs, as of `PathNorm`, of
    the network that the module is in evaluation mode; whichever mode it is in, it stays in.

    Parameters
    ----------
    module : torch.nn.Module
        A ReLU network, see `load_network`. Masks of ``torch.nn.utils.prune`` count.
    example : tensor, optional
        An input, for its shape. It may be left out once the module has been given with one, and
        for modules that begin with a linear layer.
    q, r : float
        At least 1; r may be inf.
    log : bool
        Return the natural logarithm, which no depth makes leave the range of floats.

    Returns
    -------
    tensor, shape ()
        In the dtype and on the device of the module's parameters. At a weight of exactly 0 the
        gradient has 0 for the derivative of the absolute value.

    Raises
    ------
    ProblemError
        If the module is no ReLU network; if a parameter that requires a gradient is no weight,
        bias or normalization of it as it stands; if a value leaves the range of the dtype.

    Notes
    -----
    The first call for a module reads it, which takes about a second; later ones take one pass
    through its layers (Gonon et al., arXiv 2310.01225, Theorem A.1), with powers of two taken out
    of tensors that grow or shrink. Modules are read again when a setting changes: numbers, texts,
    functions, lists and dictionaries of these, buffers and other tensors. Running means and
    variances of normalizations are constants, which are looked up at each call.

    Examples
    --------
    >>> import torch, sparseopt as so
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> loss = net(torch.ones(5, 2)).square().mean() + 1e-3 * so.path_norm(net)
    >>> loss.backward()
    """
    if not isinstance(module, nn.Module):
        raise so.ProblemError(
            f"path_norm is for torch modules, to train them; of a {type(module).__name__} solve "
            "so.PathNorm(so.load_network(...))"
        )
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    for name, value, top in (("q", q, math.inf), ("r", r, None)):
        finite = top is None or (isinstance(value, int | float) and value < top)
        if not (isinstance(value, int | float) and value >= 1 and finite):
            most = "at least 1" if name == "r" else "at least 1 and finite"
            raise so.ProblemError(f"{name} must be {most}, got {short(value)}")
    first = next(module.parameters(), None)
    if first is not None and first.dtype not in (torch.float32, torch.float64):
        raise so.ProblemError(
            f"the parameters have dtype {first.dtype}; float32 or float64 is needed"
        )
    plan = _plan(module, example)
    try:
        sums = LivePass(float(q), plan).run()
    except so.Inconclusive as error:
        reason = str(error).partition("; one_pass")[0]
        raise so.ProblemError(f"{reason}; try module.double()") from error
    return _norm(sums, float(q), float(r), log)


def _norm(value: Any, q: float, r: float, log: bool) -> torch.Tensor:
    """Return the norm from the sums of powers at the outputs."""
    sums, exponent = value.array.reshape(-1), value.exponent / q
    there = sums > 0
    if not bool(there.any()):
        total = sums.sum() * 0.0
        return total.log() if log else total
    # Roots have no derivative at 0, and what is 0 has none to any path.
    safe = torch.where(there, sums, 1.0)
    if r == math.inf:
        total = torch.where(there, safe, 0.0).max() ** (1.0 / q)
    else:
        total = torch.where(there, safe ** (r / q), 0.0).sum() ** (1.0 / r)
    if log:
        return total.log() + exponent * math.log(2.0)
    top = math.log2(float(total.detach())) + exponent
    limit = math.log2(torch.finfo(total.dtype).max)
    if not -limit < top < limit:
        raise so.ProblemError(
            f"the path-norm is 2**{top:.0f}, beyond the range of {total.dtype}; pass log=True for "
            "its logarithm"
        )
    half = 2.0 ** (exponent / 2)
    return total * half * half


class Plan:
    """What is known of a module: its network, and where each parameter is in the module."""

    def __init__(self, module: nn.Module, example: Any) -> None:
        modes = [(part, part.training) for part in module.modules()]
        try:
            module.eval()
            self.network = so.load_network(module, example)
        finally:
            for part, mode in modes:
                part.training = mode
        self.live: dict[str, dict[str, Live]] = bindings(module, self.network)
        self._module = weakref.ref(module)
        # As long as these live no other tensor has their identity.
        self._kept = [*module.buffers(), *_other_tensors(module)]

    @property
    def module(self) -> nn.Module:
        """The module, which is there whenever the plan is."""
        found = self._module()
        assert found is not None
        return found


_plans: weakref.WeakKeyDictionary[nn.Module, tuple[Hashable, Any, Plan]] = (
    weakref.WeakKeyDictionary()
)


def _plan(module: nn.Module, example: Any) -> Plan:
    """Return the plan of a module, made anew where the module or the shape is another one."""
    if example is not None and not hasattr(example, "shape"):
        raise so.ProblemError(
            f"example is a {type(example).__name__}; path_norm takes modules of one input: give a "
            "tensor"
        )
    known = _plans.get(module)
    settings = _settings(module)
    shape = None if example is None else tuple(example.shape[1:])
    if known is not None and known[0] == settings and shape in (None, known[1]):
        return known[2]
    if example is None:
        example = _example(module) if known is None else torch.zeros(1, *known[1])
    first = next(module.parameters(), None)
    if isinstance(example, torch.Tensor) and first is not None:
        example = example.detach().to(first.device, first.dtype)
    plan = Plan(module, example)
    _plans[module] = settings, tuple(example.shape[1:]), plan
    return plan


def _example(module: nn.Module) -> torch.Tensor:
    """Return an input of a module that begins with a linear layer."""
    first = next((m for m in module.modules() if any(True for _ in m.parameters(False))), None)
    if isinstance(first, nn.Linear):
        return torch.zeros(1, first.in_features)
    raise so.ProblemError(
        f"{type(module).__name__} does not fix its input shape; pass example=, an input tensor of "
        "the right shape (its values do not matter)"
    )


def _settings(module: nn.Module) -> Hashable:
    """Return what a module's network depends on, but for the values of its tensors."""
    seen: dict[int, int] = {}
    tensors: list[Any] = []
    for kind in (module.named_parameters, module.named_buffers):
        for name, tensor in kind(remove_duplicate=False):
            place = seen.setdefault(id(tensor), len(seen))
            facts = (tuple(tensor.shape), tensor.dtype, tensor.device, tensor.requires_grad)
            tensors.append((name, place, *facts))
    looked_up = {
        f"{name}.{leaf}".lstrip(".")
        for name, part in module.named_modules()
        for leaf in part._buffers
        if isinstance(part, nn.modules.batchnorm._NormBase) or leaf.endswith("_mask")
    }
    for name, tensor in module.named_buffers(remove_duplicate=False):
        if name not in looked_up:
            tensors.append((name, id(tensor), tensor._version))
    tensors += [(id(tensor), tensor._version) for tensor in _other_tensors(module)]
    parts = [(name, type(part), tuple(_attributes(part))) for name, part in module.named_modules()]
    return tuple(parts), tuple(tensors)


def _other_tensors(module: nn.Module) -> list[torch.Tensor]:
    """Return the tensors that are plain attributes of parts of a module."""
    values = [value for part in module.modules() for value in vars(part).values()]
    return [value for value in values if isinstance(value, torch.Tensor)]


def _attributes(part: nn.Module) -> list[Any]:
    found: list[Any] = []
    for name, value in vars(part).items():
        if name.startswith("_") or name == "training":
            continue
        if isinstance(value, _SIMPLE):
            found.append((name, repr(value)))
        elif callable(value):
            found.append((name, id(value)))
    return found
