"""Writes a model with other values in some of its initializers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.interface.whole_file import write_whole
from sparseopt_onnx.file_structure import load
from sparseopt_onnx.normalizations import pass_on


def write_initializers(
    source: Any, tensors: Mapping[str, Any], path: str, biases: Mapping[str, Any] | None = None
) -> None:
    """Write the model of a path or a ``ModelProto``; all else in it stays as it is.

    Parameters
    ----------
    source : path or ModelProto
    tensors : mapping
        From names of initializers to arrays of as many entries; or of fewer, and as many axes,
        for layers that got smaller.
    path : str
    biases : mapping or None
        Of batch normalizations that are to do nothing else, see `pass_on`.

    Raises
    ------
    ProblemError
        For a tensor that is no dense initializer, values that its dtype does not hold, and models
        beyond the 2 GiB of one file. Nothing is written then.
    """
    model, name = load(source)
    held = _held(model, name, tensors)
    for tensor, array in tensors.items():
        old = numpy_helper.to_array(held[tensor])
        values = np.asarray(array)
        if values.size == old.size:
            values = values.reshape(old.shape)
        elif values.ndim != old.ndim:
            raise so.ProblemError(
                f"the initializer {printable(tensor)!r} of {name} has shape {old.shape}, which "
                f"cannot become {values.shape}"
            )
        else:  # shapes that were written down are those of before
            del model.graph.value_info[:]
            _set_shape(model, held[tensor], values.shape)
        with np.errstate(over="ignore"):
            new = values.astype(np.float64).astype(old.dtype)
        if not np.array_equal(new.astype(np.float64), values):
            raise so.ProblemError(
                f"the initializer {printable(tensor)!r} of {name} has dtype {old.dtype}, which "
                "does not hold its new values"
            )
        held[tensor].CopyFrom(numpy_helper.from_array(new, tensor))
    if biases:
        pass_on(model, name, biases)
    try:
        content = model.SerializeToString()
    except Exception as error:  # of protocol buffers, which end at 2 GiB
        raise so.ProblemError(f"{name} is too large for one file: {printable(error)}") from error
    write_whole(path, content)


def _set_shape(model: onnx.ModelProto, tensor: onnx.TensorProto, shape: tuple[int, ...]) -> None:
    """Give an initializer that is listed as an input too, as old files do, its new shape there."""
    for given in model.graph.input:
        if given.name == tensor.name:
            made = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, shape)
            given.CopyFrom(made)


def initializers(source: Any, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return dense initializers of the model of a path or a ``ModelProto`` by name."""
    model, name = load(source)
    held = _held(model, name, names)
    return {tensor: numpy_helper.to_array(held[tensor]) for tensor in names}


def _held(
    model: onnx.ModelProto, name: str, wanted: Collection[str]
) -> dict[str, onnx.TensorProto]:
    """Return the dense initializers; refuse names that none of them has."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for tensor in wanted:
        if tensor not in held:
            raise so.ProblemError(
                f"{name} holds no initializer {printable(tensor)!r}, so its values cannot be "
                "written back; write a new file: leave out like="
            )
    return held
