"""The interface of the layer operators, and the operators that only wire values together."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from inspect import isabstract
from typing import Any, ClassVar

import numpy as np

from sparseopt.interface.arrays import INTEGERS, as_array, read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.networks.parameters import Shape, Transform, as_integers, cast
from sparseopt.networks.semiring import SUM, Semiring


class Operator(ABC):
    """One layer: a map from the values of its predecessors to a value.

    Values carry a leading axis of samples: an operator on shapes ``(3, 8, 8)`` gets arrays of
    shape ``(n, 3, 8, 8)``. Subclasses are frozen dataclasses.

    Laws
    ----
    1. `run` computes the layer; for a layer without ReLU or pooling it is
       ``propagate(inputs) + offset()``. A layer that overrides it overrides `neuron_kind` too.
    2. `propagate` is the linear map that sends each neuron's path sums to its successors: ReLU
       passes on, a pool adds up its window, weights multiply, biases are left out.
    3. `mapped(f)` replaces every edge weight w by f(w), and leaves the edges as they are.

    A new layer is a class with `shape`, `propagate` and `adjoint`, and a row in the table of
    ``tests/networks/test_operators.py``. What goes through the layers of a network either follows
    from these methods, or is a `functools.singledispatch` function, which refuses a layer that it
    does not know by name, or does what is right for every layer.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ()
    """The field that holds edge weights that a user may replace: one, so that an edge's weight is
    linear in it, or none."""
    bias_field: ClassVar[str | None] = None
    """Field that holds the biases."""
    is_wiring: ClassVar[bool] = False
    """Whether the operator only names, moves or repeats values and has no neurons of its own."""

    def __init_subclass__(cls) -> None:
        """Refuse layers derived from others, which would be taken for these, and two weights."""
        super().__init_subclass__()
        if len(cls.weight_fields) > 1:
            raise TypeError(f"{cls.__name__} has weights in {cls.weight_fields}; one field may")
        for base in cls.__mro__[1:]:
            if issubclass(base, Operator) and not isabstract(base):
                raise TypeError(
                    f"{cls.__name__} cannot be derived from the layer {base.__name__}; derive it "
                    "from Operator, so that nothing takes one for the other"
                )

    @abstractmethod
    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape of the output; `ProblemError` if the inputs do not fit."""

    @abstractmethod
    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Return the path sums of the output from those of the inputs, without biases."""

    @abstractmethod
    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Return the transpose of `propagate` (ordinary arithmetic), one array per input."""

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the output of the layer in the dtype of the inputs."""
        result = self.propagate(inputs)
        offset = self.offset()
        return result if offset is None else result + cast(offset, result.dtype)

    def offset(self) -> np.ndarray | None:
        """Return the biases in a shape that broadcasts to the output, or None without biases."""
        return None

    def mapped(self, transform: Transform) -> Operator:
        """Return the operator with every edge weight w replaced by ``transform(w)``."""
        changes = {n: transform(getattr(self, n)) for n in self.weight_fields if self.has(n)}
        return unchecked(self, **changes) if changes else self

    def neuron_kind(self) -> tuple[str, int]:
        """Return kind and rank of the layer's neurons, as in `NeuronGraph`."""
        if type(self).run is not Operator.run:
            raise ProblemError(
                f"{type(self).__name__} has a run of its own; its neuron_kind must say which "
                "neurons it consists of"
            )
        return "id", 1

    def fan_in(self, inputs: Sequence[Shape]) -> np.ndarray:
        """Return how many edges enter each neuron, by a pass with every weight 1."""
        of_ones = self.mapped(lambda weight: np.ones(np.shape(weight)))
        return of_ones.propagate([np.ones((1, *shape)) for shape in inputs])[0]

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Return how many edges the layer has between neurons; 0 for wiring.

        Layers for which there is a formula give that instead.
        """
        return 0 if self.is_wiring else int(self.fan_in(inputs).sum())

    def has(self, name: str) -> bool:
        """Whether the optional field `name` is set."""
        return getattr(self, name) is not None

    def parameters(self) -> dict[str, np.ndarray]:
        """Return the arrays that a user may replace, by field name."""
        names = [*self.weight_fields, *([self.bias_field] if self.bias_field else [])]
        return {name: getattr(self, name) for name in names if self.has(name)}

    def with_parameters(self, **arrays: np.ndarray) -> Operator:
        """Return the operator with some arrays replaced by others of the same shapes."""
        for name, array in arrays.items():
            old = getattr(self, name).shape
            if np.shape(array) != old:
                raise ProblemError(f"{name} has shape {np.shape(array)}, must stay {old}")
        return replace(self, **arrays)  # type: ignore[type-var]

    def describe(self) -> str:
        """Return the operator's name and sizes for messages."""
        sizes = [f"{n} {a.shape}" for n, a in self.parameters().items()]
        return type(self).__name__ + (f" ({', '.join(sizes)})" if sizes else "")


def unchecked(operator: Operator, **changes: Any) -> Any:
    """Return a copy with fields changed and no validation, for weights in logarithms."""
    made = object.__new__(type(operator))
    for item in fields(operator):  # type: ignore[arg-type]
        value = changes.get(item.name, getattr(operator, item.name))
        object.__setattr__(made, item.name, value)
    return made


def one_input(inputs: Sequence[Shape], what: str) -> Shape:
    """Return the only input shape; `ProblemError` otherwise."""
    if len(inputs) != 1:
        raise ProblemError(f"{what} takes one input, got {len(inputs)}")
    return inputs[0]


def require_axis(axis: int, shape: Shape, what: str) -> None:
    """Refuse an axis outside the shape."""
    if not isinstance(axis, int | np.integer) or not 0 <= axis < len(shape):
        raise ProblemError(f"{what}: axis {short(axis)} does not exist in a value of shape {shape}")


@json_type
@dataclass(frozen=True, eq=False)
class Input(Operator):
    """The input of the network; `size` is the shape of one sample, without a batch axis."""

    size: tuple[int, ...]
    is_wiring: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_integers(self.size, "size"))
        if any(n <= 0 for n in self.size):
            raise ProblemError(f"the input has shape {self.size}; every size must be positive")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape of one sample."""
        if inputs:
            raise ProblemError(f"an input takes no predecessors, got {len(inputs)}")
        return self.size

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Never called: the pass supplies the value of the input."""
        raise TypeError("the value of the input is given, not computed")

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Return nothing: an input has no predecessors."""
        return []


@json_type
@dataclass(frozen=True, eq=False)
class Reshape(Operator):
    """The same entries in the same (row-major) order under another shape."""

    size: tuple[int, ...]
    is_wiring: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_integers(self.size, "size"))

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return `size` if the number of entries agrees."""
        old = one_input(inputs, "Reshape")
        if math.prod(old) != math.prod(self.size) or min(self.size, default=1) < 1:
            raise ProblemError(f"a value of shape {old} cannot be reshaped to {self.size}")
        return self.size

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Reshape each sample."""
        return inputs[0].reshape(inputs[0].shape[0], *self.size)

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Reshape back."""
        return [value.reshape(value.shape[0], *inputs[0])]


@json_type
@dataclass(frozen=True, eq=False)
class Permute(Operator):
    """Axes in another order: axis i of the output is axis ``axes[i]`` of the input."""

    axes: tuple[int, ...]
    is_wiring: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", as_integers(self.axes, "axes"))

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the permuted shape."""
        old = one_input(inputs, "Permute")
        if sorted(self.axes) != list(range(len(old))):
            raise ProblemError(f"{self.axes} is not a permutation of the axes of shape {old}")
        return tuple(old[a] for a in self.axes)

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Transpose each sample."""
        return inputs[0].transpose(0, *(a + 1 for a in self.axes))

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Transpose back."""
        return [value.transpose(0, *(int(a) + 1 for a in np.argsort(self.axes)))]


@json_type
@dataclass(frozen=True, eq=False)
class Select(Operator):
    """Entries picked by position: output entry i is input entry ``index[i]``, or 0 where -1.

    `index` has the shape of the output and counts the entries of one sample in row-major order;
    slices, gathers, zero padding, repetition and any shuffle are of this kind.
    """

    index: np.ndarray
    is_wiring: ClassVar[bool] = True

    def __post_init__(self) -> None:
        index = as_array(self.index, "index")
        if index.dtype.str[1:] not in INTEGERS or index.size == 0:
            raise ProblemError("Select needs a non-empty array of integer positions")
        object.__setattr__(self, "index", read_only(index.astype(np.int64, copy=False)))

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape of `index` if every position exists."""
        size = math.prod(one_input(inputs, "Select"))
        if self.index.min() < -1 or self.index.max() >= size:
            raise ProblemError(f"Select names a position outside the {size} entries of its input")
        return self.index.shape

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Pick the entries; -1 becomes the zero of the arithmetic."""
        flat = inputs[0].reshape(inputs[0].shape[0], -1)
        picked = flat[:, self.index.ravel()]
        if self.index.min() < 0:
            picked[:, self.index.ravel() < 0] = semiring.zero
        return picked.reshape(flat.shape[0], *self.index.shape)

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Add up over the places where an entry was used."""
        result = np.zeros((value.shape[0], math.prod(inputs[0])), dtype=value.dtype)
        kept = self.index.ravel() >= 0
        flat = value.reshape(value.shape[0], -1)[:, kept]
        np.add.at(result.T, self.index.ravel()[kept], flat.T)
        return [result.reshape(value.shape[0], *inputs[0])]


@json_type
@dataclass(frozen=True, eq=False)
class Concat(Operator):
    """Values side by side along `axis` (of one sample)."""

    axis: int
    is_wiring: ClassVar[bool] = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the joined shape."""
        if not inputs:
            raise ProblemError("Concat needs at least one input")
        require_axis(self.axis, inputs[0], "Concat")
        rest = {(*s[: self.axis], *s[self.axis + 1 :]) for s in inputs}
        if len(rest) != 1 or len({len(s) for s in inputs}) != 1:
            raise ProblemError(f"shapes {list(inputs)} do not fit along axis {self.axis}")
        joined = sum(s[self.axis] for s in inputs)
        return (*inputs[0][: self.axis], joined, *inputs[0][self.axis + 1 :])

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Concatenate."""
        return np.concatenate(list(inputs), axis=self.axis + 1)

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Cut apart."""
        cuts = np.cumsum([s[self.axis] for s in inputs])[:-1]
        return list(np.split(value, cuts, axis=self.axis + 1))


@json_type
@dataclass(frozen=True, eq=False)
class Add(Operator):
    """Sum of values of one shape; an identity neuron per entry with edges of weight 1."""

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the common shape."""
        if not inputs or len(set(inputs)) != 1:
            raise ProblemError(f"Add needs inputs of one shape, got {list(inputs)}")
        return inputs[0]

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One edge per input and entry."""
        return len(inputs) * math.prod(output)

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Add up."""
        result = inputs[0]
        for value in inputs[1:]:
            result = semiring.add(result, value)
        return result

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Hand the value to every input."""
        return [value for _ in inputs]


@json_type
@dataclass(frozen=True, eq=False)
class Relu(Operator):
    """max(x, 0), entry by entry; at exactly 0 it counts as inactive."""

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the shape of the input."""
        return one_input(inputs, "Relu")

    def neuron_kind(self) -> tuple[str, int]:
        """A ReLU per entry."""
        return "relu", 1

    def edges(self, inputs: Sequence[Shape], output: Shape) -> int:
        """One per entry."""
        return math.prod(output)

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return max(x, 0)."""
        return np.maximum(inputs[0], inputs[0].dtype.type(0) if inputs[0].dtype != object else 0)

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        """Pass on."""
        return inputs[0]

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        """Pass back."""
        return [value]
