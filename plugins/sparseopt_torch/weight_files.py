"""Modules with the weights of files of safetensors, which hold tensors by name and no graph.

Up to `limits.HELD_BYTES` together the tensors are copied into memory. Of larger files the large
parameters stay there, mapped: a layer is read when a pass comes to it, and the system takes its
pages back. The maps are private: a module that writes to a parameter writes to memory, never to the
file. As with ONNX external data the files must stay as they are while the network is used.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.array_files import map_numbers
from sparseopt.judging.files import read_text
from sparseopt.tools.reading.choices import Weights
from sparseopt.tools.tensor_file import Place, places

# Names of the format: how the numbers lie, and what torch calls them where NumPy has no name.
_DTYPES: dict[str, tuple[str, torch.dtype | None]] = {
    "F64": ("<f8", None),
    "F32": ("<f4", None),
    "F16": ("<f2", None),
    "BF16": ("<i2", torch.bfloat16),
    "I64": ("<i8", None),
    "I32": ("<i4", None),
    "I16": ("<i2", None),
    "I8": ("i1", None),
    "U8": ("u1", None),
    "BOOL": ("u1", torch.bool),
}
SIZES = {name: np.dtype(code).itemsize for name, (code, _) in _DTYPES.items()}
_LEAST_MAPPED = 1 << 16
"""Bytes below which a tensor of a large file is copied all the same."""

Found = dict[str, tuple[str, Place]]
"""File and place of every tensor, by its name."""


@contextlib.contextmanager
def with_weights(
    module: torch.nn.Module, weights: Weights | None
) -> Iterator[tuple[torch.nn.Module, list[str]]]:
    """Give a module with the weights of files, and notes; afterwards the module is as it was.

    A module in memory takes weights that fit there by its own ``load_state_dict``, and gives them
    back. Of a module on the meta device, or larger weights, it is a copy that is given, with the
    tensors of the files as they are, of their dtype, in place of its own.

    Parameters
    ----------
    module : torch.nn.Module
        Its parameters and buffers must be those of the files, by name and shape.
    weights : path, or sequence of paths, or None
        Files of safetensors, or one index of such, ``*.index.json``. None: the module as it is.

    Raises
    ------
    ProblemError
        If a file is none of this format, a tensor is missing, unknown, of another shape or of a
        dtype that is not read here, or one without a file is on the meta device.
    """
    if weights is None:
        yield module, []
        return
    held = (*module.parameters(), *module.buffers())
    if any(torch.nn.parameter.is_lazy(tensor) for tensor in held):
        raise so.ProblemError(
            f"{type(module).__name__} has parameters without a shape; run it once on an example"
        )
    found = _find(weights)
    _require_tensors(module, found)
    total = sum(place.size for _, place in found.values())
    mapped = total > limits.HELD_BYTES and sys.byteorder == "little"
    if mapped or any(tensor.is_meta for tensor in held):
        yield _assigned(module, found, mapped), [_note(total)] if mapped else []
        return
    before = [(tensor, tensor.detach().clone()) for tensor in held]
    tensors = {name: _tensor(path, place, False) for name, (path, place) in found.items()}
    try:
        _load(module, tensors)
        yield module, []
    finally:
        with torch.no_grad():
            for tensor, old in before:
                tensor.copy_(old)


def _load(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    try:
        module.load_state_dict(tensors, strict=False)  # tied tensors may stand in a file once
    except Exception as error:  # whatever a module does when it is loaded
        words = printable(" ".join(str(error).split()), 300)
        raise so.ProblemError(
            f"{type(module).__name__} cannot take the weights: {words}"
        ) from error


def _assigned(module: torch.nn.Module, found: Found, mapped: bool) -> torch.nn.Module:
    """Return a copy of a module whose parameters and buffers are the tensors of files."""
    for owner in module.modules():
        own = type(owner)._load_from_state_dict.__module__.startswith("torch.nn.")
        if not own or owner._load_state_dict_pre_hooks or owner._load_state_dict_post_hooks:
            raise so.ProblemError(
                f"{type(owner).__name__} loads its weights in a way of its own; take weights of "
                f"at most {limits.HELD_BYTES >> 20} MiB, for a module outside the meta device"
            )
    twin = _copy_sharing_tensors(module)
    made: dict[int, torch.Tensor] = {}
    for names in _slots(twin).values():
        name = next(name for name, _, _ in names if name in found)
        _, owner, leaf = names[0]
        old = owner._parameters.get(leaf, owner._buffers.get(leaf))
        path, place = found[name]
        parameter = leaf in owner._parameters
        tensor = _tensor(path, place, mapped and parameter and place.size >= _LEAST_MAPPED)
        made[id(old)] = torch.nn.Parameter(tensor, False) if parameter else tensor
        for _, owner, leaf in names:
            held = owner._parameters if leaf in owner._parameters else owner._buffers
            held[leaf] = made[id(old)]
    for name, tensor in (*twin.named_parameters(), *twin.named_buffers()):
        if tensor.is_meta:
            raise so.ProblemError(
                f"the buffer {name!r} is on the meta device, and no state dict holds it; build the "
                "module so that it is computed, and only parameters are left out"
            )
    return twin


def _require_tensors(module: torch.nn.Module, found: Found) -> None:
    """Refuse files whose tensors are not those of a module, by name and shape."""
    slots = _slots(module)
    _require_names(slots, found, type(module).__name__)
    for names in slots.values():
        for name, owner, leaf in names:
            path, place = found.get(name, ("", None))
            tensor = owner._parameters.get(leaf, owner._buffers.get(leaf))
            assert tensor is not None
            if place is not None and tuple(tensor.shape) != place.shape:
                raise so.ProblemError(
                    f"{name!r} has the shape {place.shape} in {path!r}, and {tuple(tensor.shape)} "
                    f"in {type(module).__name__}"
                )


def _note(total: int) -> str:
    return (
        f"weights of {total / 2**20:.0f} MiB stay in their files, which must not change while the "
        "network is used; not compared with PyTorch, which would hold them"
    )


def _find(weights: Weights) -> Found:
    """Return where every tensor of the files lies."""
    try:
        given = [weights] if isinstance(weights, str | os.PathLike) else list(weights)
        paths = [os.fspath(path) for path in given]
        if not all(isinstance(path, str) for path in paths):
            raise TypeError("bytes")
    except TypeError as error:
        raise so.ProblemError(f"weights= takes paths of files, got {weights!r:.100}") from error
    listed: dict[str, str] | None = None
    if len(paths) == 1 and paths[0].endswith(".index.json"):
        index = paths[0]
        listed = _listed(Path(index))
        paths = sorted(set(listed.values()))
    if not paths:
        raise so.ProblemError("weights= names no file; give the path of a file of safetensors")
    found: Found = {}
    for path in paths:
        for name, place in places(path, SIZES).items():
            if name in found:
                raise so.ProblemError(
                    f"{printable(name)!r} stands in {found[name][0]!r} and in {path!r}"
                )
            found[name] = path, place
    if listed is not None:
        _require_listed(index, listed, found)
    return found


def _listed(index: Path) -> dict[str, str]:
    """Return the file of every tensor that an index names: in its own folder, and no link."""
    where = repr(os.fspath(index))
    try:
        named = dict(json.loads(read_text(index))["weight_map"])
        names = set(named.values())
        plain = all(
            name == os.path.basename(name) and name not in ("", ".", "..") for name in names
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise so.ProblemError(
            f"{where} is no index of safetensors, JSON with a weight_map"
        ) from error
    if not plain:
        raise so.ProblemError(f"{where} names files outside its own folder")
    for name in sorted(names):
        try:
            is_link = (index.parent / name).is_symlink()
        except OSError as error:
            raise so.ProblemError(f"{where} names {printable(name)!r}: {error.strerror}") from error
        if is_link:
            raise so.ProblemError(
                f"{where} names {printable(name)!r}, which is a link; if you trust where it leads, "
                "give the files themselves as weights="
            )
    return {tensor: os.fspath(index.parent / name) for tensor, name in named.items()}


def _require_listed(index: str, listed: Mapping[str, str], found: Found) -> None:
    """Refuse an index that does not place all tensors where the files have them, and no others."""
    for name in sorted({*listed, *found}, key=str):
        said, held = listed.get(name), found[name][0] if name in found else None
        if said != held:
            places = [os.path.basename(path) if path else None for path in (said, held)]
            words = [f"in {printable(path)!r}" if path else "nowhere" for path in places]
            raise so.ProblemError(
                f"{index!r} places the tensor {printable(name)!r} {words[0]}, and it is "
                f"{words[1]} among the files; take the index that belongs to them"
            )


def _copy_sharing_tensors(module: torch.nn.Module) -> torch.nn.Module:
    held = (*module.parameters(), *module.buffers())
    try:
        return copy.deepcopy(module, {id(tensor): tensor for tensor in held})
    except Exception as error:  # whatever a module does when it is copied
        raise so.ProblemError(
            f"{type(module).__name__} cannot be copied: {printable(error)}; load the weights into "
            "it and leave out weights="
        ) from error


Slot = tuple[str, torch.nn.Module, str]
"""Full name, owner and own name of a parameter or buffer."""


def _slots(module: torch.nn.Module) -> dict[int, list[Slot]]:
    """Return the parameters and persistent buffers, those that are one tensor together."""
    slots: dict[int, list[Slot]] = {}
    for prefix, owner in module.named_modules(remove_duplicate=False):
        kept = {
            k: v for k, v in owner._buffers.items() if k not in owner._non_persistent_buffers_set
        }
        for leaf, tensor in (*owner._parameters.items(), *kept.items()):
            if tensor is not None:
                name = f"{prefix}.{leaf}" if prefix else leaf
                slots.setdefault(id(tensor), []).append((name, owner, leaf))
    return slots


def _require_names(slots: Mapping[int, list[Slot]], found: Found, kind: str) -> None:
    """Refuse tensors that only the module, or only the files, have."""
    known = {name for names in slots.values() for name, _, _ in names}
    lacking = [names[0][0] for names in slots.values() if not any(n in found for n, _, _ in names)]
    unknown = [name for name in found if name not in known]
    for names, what in ((lacking, f"the files lack, of {kind},"), (unknown, f"{kind} has no")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise so.ProblemError(f"{what} {printable(', '.join(map(repr, names[:3])), 300)}{more}")


def _tensor(path: str, place: Place, keep: bool) -> torch.Tensor:
    """Return a tensor of a file: mapped, to be kept in it, or copied."""
    code, kind = _DTYPES[place.dtype]
    dtype = np.dtype(code)
    if not place.size:
        array: Any = np.empty(place.shape, dtype.newbyteorder("="))
    else:
        array = map_numbers(Path(path), dtype, place.shape, place.start, private=True)
        if not keep:
            array = np.array(array, dtype.newbyteorder("="))
    tensor = torch.from_numpy(array)
    if kind is torch.bool:
        return tensor != 0
    return tensor if kind is None else tensor.view(kind)
