"""Products and layers as files of safetensors: `save_safetensors`, `load_safetensors`.

The tensors have the names of the layer's ``state_dict``; what they are of stands in one text beside
them, so that the file alone says what to build.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import sparseopt as so
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.tools.tensor_file import Tensor, read_tensors, write_tensors

if TYPE_CHECKING:
    from sparseopt_butterfly.kronecker_layer import KroneckerLayer

DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}
TAGS = {np.dtype(text).newbyteorder("="): tag for tag, text in DTYPES.items()}
TEXT = "sparseopt"
LAYERS = {
    "KroneckerLinear": ("in_features", "out_features"),
    "KroneckerConv2d": (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "padding_mode",
    ),
}
"""The layers, and what their constructors take beside the architecture."""


def save_safetensors(subject: Any, path: str | os.PathLike[str]) -> None:
    """Write a product or a layer to a file of safetensors.

    Parameters
    ----------
    subject : KroneckerProduct, KroneckerLinear or KroneckerConv2d
        Its factors keep their dtype. Of a layer the file holds the tensors of its ``state_dict``,
        by these names, so that ``safetensors.torch.load_file`` reads them, too.
    path : str or path
        Written completely or not at all.

    Raises
    ------
    ProblemError
        If the subject is something else, a layer has masks of `torch.nn.utils.prune` (make them
        permanent with ``torch.nn.utils.prune.remove``), or the path cannot be written.

    Notes
    -----
    The format has no complex128: such factors are stored as float64 with a last axis of two, the
    real and the imaginary part, which the text beside them says.

    Examples
    --------
    >>> import tempfile, sparseopt as so
    >>> product = so.KroneckerProduct([np.ones((1, 2, 2, 1))], so.Architecture([(1, 2, 2, 1)]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     so.save_safetensors(product, f"{folder}/product.safetensors")
    ...     print(so.load_safetensors(f"{folder}/product.safetensors"))
    product of 1 Kronecker-sparse factors, 2 x 2, 4 values (100 % of dense)
    """
    kind = type(subject).__name__
    if isinstance(subject, so.KroneckerProduct):
        arrays = subject.to_numpy().factors
        tensors = {f"factors.{i}": _of_array(array) for i, array in enumerate(arrays)}
        about: dict[str, Any] = {"kind": "KroneckerProduct"}
        wide = {array.dtype.type is np.complex128 for array in arrays}
        if len(wide) > 1:
            raise ProblemError(
                "the factors mix complex128 with other dtypes; convert them to one before you save"
            )
        if wide == {True}:
            about["complex128"] = True
    elif kind in LAYERS and hasattr(subject, "state_dict"):
        state = subject.state_dict()
        names = [f"factors.{i}" for i in range(len(subject.architecture))]
        if set(state) - {"bias"} != set(names):
            raise ProblemError(
                f"the {kind} has masks or further tensors ({', '.join(sorted(state))}); make masks "
                "permanent with torch.nn.utils.prune.remove before you save it"
            )
        tensors = {name: _of_torch(state[name]) for name in (*names, "bias") if name in state}
        about = {"kind": kind, **{name: getattr(subject, name) for name in LAYERS[kind]}}
        about["relative_error"] = subject.relative_error
        if next(iter(state.values())).dtype.itemsize == 16:
            about["complex128"] = True
    else:
        raise ProblemError(
            "save_safetensors takes a KroneckerProduct, a KroneckerLinear or a KroneckerConv2d, "
            f"got {kind}; of other modules save the state_dict by safetensors.torch.save_file"
        )
    about["architecture"] = [list(pattern) for pattern in subject.architecture]
    form = "np" if kind == "KroneckerProduct" else "pt"
    write_tensors(path, tensors, {"format": form, TEXT: json.dumps(about, sort_keys=True)})


def load_safetensors(path: str | os.PathLike[str]) -> Any:
    """Return the product or the layer that `save_safetensors` wrote.

    Nothing in the file is run, and it asks for no more memory than it has bytes.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    KroneckerProduct, KroneckerLinear or KroneckerConv2d
        Of NumPy arrays; of parameters on the CPU.

    Raises
    ------
    ProblemError
        If the file is not of this format, or does not hold what its text says; for layers if torch
        is not installed.
    """
    name = repr(os.fspath(path))
    tensors, texts = read_tensors(path)
    about = _described(texts, name)
    patterns = _patterns(about.get("architecture"), name)
    kind, wide = str(about.get("kind")), about.get("complex128") is True
    factors = {f"factors.{i}": pattern.values_shape for i, pattern in enumerate(patterns)}
    expected: dict[str, tuple[int, ...]] = dict(factors)
    if kind in LAYERS and "bias" in tensors:
        expected["bias"] = (patterns.shape[0],)
    _require_shapes(tensors, expected, wide, name)
    if kind == "KroneckerProduct":
        return so.KroneckerProduct([_to_array(tensors[key], wide) for key in factors], patterns)
    if kind not in LAYERS:
        raise ProblemError(f"{name} holds a {printable(kind)}, not a product or layer of sparseopt")
    return _layer(kind, about, tensors, wide, patterns, name)


def _layer(
    kind: str,
    about: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    wide: bool,
    patterns: so.Architecture,
    name: str,
) -> KroneckerLayer:
    from sparseopt.choosing.offers import tool

    try:
        cls = tool(kind)
    except ImportError as error:
        raise ProblemError(f"{name} holds a {kind}: {error}") from error
    import torch

    values = {key: _to_torch(tensor, wide) for key, tensor in tensors.items()}
    dtypes = {value.dtype for value in values.values()}
    settings = {key: about.get(key) for key in LAYERS[kind]}
    pairs = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    distance = about.get("relative_error")
    known = distance is None or (type(distance) is float and 0 <= distance < math.inf)
    if len(dtypes) > 1 or not known:
        raise ProblemError(f"{name}: a layer has one dtype, and a relative error from 0 on")
    try:
        (dtype,) = dtypes
        layer = cls(architecture=patterns, bias="bias" in values, dtype=dtype, **pairs)
    except (TypeError, ValueError) as fault:
        raise ProblemError(f"{name} holds no {kind} that can be built: {fault}") from fault
    with torch.no_grad():
        layer.load_state_dict(values)
    layer.relative_error = distance
    return layer  # type: ignore[no-any-return]


def _described(texts: Mapping[str, str], name: str) -> dict[str, Any]:
    if TEXT not in texts:
        raise ProblemError(
            f"{name} does not say what its tensors are of; it was not written by save_safetensors"
        )
    try:
        about = json.loads(texts[TEXT])
    except (ValueError, RecursionError) as error:
        raise ProblemError(f"the text of {name} is no JSON: {error}") from error
    if not isinstance(about, dict):
        raise ProblemError(f"the text of {name} is a {type(about).__name__}, not an object")
    return about


def _patterns(found: Any, name: str) -> so.Architecture:
    if not isinstance(found, list) or not all(isinstance(p, list) for p in found):
        raise ProblemError(f"the architecture of {name} must be a list of patterns [a, b, c, d]")
    return so.Architecture([tuple(pattern) for pattern in found])


def _require_shapes(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, tuple[int, ...]],
    wide: bool,
    name: str,
) -> None:
    if set(tensors) != set(expected):
        wanted, there = (", ".join(map(printable, sorted(names))) for names in (expected, tensors))
        raise ProblemError(f"{name} must hold the tensors {wanted}; it holds {there or 'none'}")
    for key, shape in expected.items():
        whole = (*shape, 2) if wide else tuple(shape)
        if tensors[key].shape != whole or (wide and tensors[key].dtype != "F64"):
            raise ProblemError(
                f"{key} of {name} is of shape {tensors[key].shape} and dtype {tensors[key].dtype}; "
                f"its pattern needs {whole}"
            )


def _of_array(array: np.ndarray) -> Tensor:
    if array.dtype == np.complex128:
        whole = np.ascontiguousarray(array).view(np.float64).reshape(*array.shape, 2)
        return _of_array(whole)
    tag = TAGS.get(array.dtype.newbyteorder("="))
    if tag is None:
        raise ProblemError(f"tensors of dtype {array.dtype} have no place in files of safetensors")
    return Tensor(tag, array.shape, array.astype(DTYPES[tag], order="C", copy=False).tobytes())


def _to_array(tensor: Tensor, wide: bool) -> np.ndarray:
    if tensor.dtype not in DTYPES:
        raise ProblemError(f"NumPy has no dtype {tensor.dtype}; load the layer instead")
    stored = np.frombuffer(tensor.data, DTYPES[tensor.dtype]).reshape(tensor.shape)
    array = stored.astype(stored.dtype.newbyteorder("="))
    return array.view(np.complex128)[..., 0] if wide else array


def _of_torch(value: Any) -> Tensor:
    import torch

    value = value.detach().cpu().contiguous().resolve_conj().resolve_neg()
    if value.dtype == torch.bfloat16:
        held = value.view(torch.int16).numpy().astype("<i2", copy=False)
        return Tensor("BF16", tuple(value.shape), held.tobytes())
    return _of_array(value.numpy())


def _to_torch(tensor: Tensor, wide: bool) -> Any:
    import torch

    if tensor.dtype == "BF16":
        held = np.frombuffer(tensor.data, "<i2").astype(np.int16).reshape(tensor.shape)
        return torch.from_numpy(held).view(torch.bfloat16)
    return torch.from_numpy(_to_array(tensor, wide))
