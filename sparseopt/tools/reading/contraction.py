"""Sums of products of a value with a constant: stacks of matrix products, and einsum's."""

from __future__ import annotations

import math
import re

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.values import Origin, Value


def from_left(
    builder: NetworkBuilder, weight: np.ndarray, x: Value, name: str, /, **origin: Origin
) -> Value:
    """Return ``weight @ x`` for a constant (..., p, q) and a value (..., q, k) or (q,).

    Matrices of a stack that differ become one convolution with a kernel of one cell, a group for
    each of them.
    """
    if weight.ndim < 2 or len(x.shape) < 1:
        raise ProblemError("a constant vector on the left is not supported")
    weight = _without_ones(weight, len(x.shape))
    if weight.ndim == 2:
        if len(x.shape) == 1:
            return builder.dense(x, Dense(weight), name, **origin)
        order = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
        turned = builder.permute(x, order, f"{name}:turn")
        made = builder.dense(turned, Dense(weight), name, **origin)
        return builder.permute(made, order, f"{name}:back")
    if len(x.shape) == 1:
        column = from_left(builder, weight, builder.keep(x, (*x.shape, 1)), name, **origin)
        return builder.keep(column, column.shape[:-1])
    (p, q), (rows, k) = weight.shape[-2:], x.shape[-2:]
    if q != rows:
        raise ProblemError(f"a constant {weight.shape} does not multiply a value {x.shape}")
    stack = _stack(weight.shape[:-2], x.shape[:-2])
    count = math.prod(stack)
    require_room((count, p, k))
    builder.budget.keep(count * p * q)
    blocks = np.broadcast_to(weight, (*stack, p, q)).reshape(count * p, q, 1)
    wide = builder.broadcast(x, (*stack, q, k), name)
    image = builder.keep(wide, (1, count * q, k))
    conv = Conv(blocks, None, (1,), ((0, 0),), (1,), count)
    own = origin if blocks.size == weight.size else {}  # a matrix for several is not a tensor
    return builder.keep(builder.image(image, 1, conv, name, **own), (*stack, p, k))


def from_right(
    builder: NetworkBuilder, x: Value, weight: np.ndarray, name: str, /, **origin: Origin
) -> Value:
    """Return ``x @ weight`` for a value (..., k, q) or (q,) and a constant (..., q, p) or (q,).

    `origin` is that of the transpose of a matrix.
    """
    if not x.shape or not weight.ndim:
        raise ProblemError("a matrix product has a single number as operand")
    if weight.ndim == 1:
        made = builder.dense(x, Dense(weight[None]), name)
        return builder.keep(made, x.shape[:-1])
    weight = _without_ones(weight, max(len(x.shape), 2))
    if weight.ndim == 2:
        return builder.dense(x, Dense(weight.T), name, **origin)
    if len(x.shape) == 1:
        row = from_right(builder, builder.keep(x, (1, *x.shape)), weight, name)
        return builder.keep(row, (*row.shape[:-2], row.shape[-1]))
    order = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
    turned = builder.permute(x, order, f"{name}:turn")
    made = from_left(builder, weight.swapaxes(-2, -1), turned, name)
    axes = len(made.shape)
    return builder.permute(made, (*range(axes - 2), axes - 1, axes - 2), f"{name}:back")


def einsum(
    builder: NetworkBuilder, equation: str, x: Value, weight: np.ndarray, first: bool, name: str
) -> Value:
    """Return the einsum of a value and a constant; `first` tells whether the value comes first.

    It is a stack of matrix products: axes of both that stay are stacked, axes of both that do not
    are summed over.

    Raises
    ------
    ProblemError
        If an index is repeated within one operand, or sizes do not fit.
    """
    inputs, output = _parsed(equation, len(x.shape), weight.ndim, first)
    of_x, of_weight = inputs if first else inputs[::-1]
    sizes: dict[str, int] = {}
    for labels, shape in ((of_x, x.shape), (of_weight, weight.shape)):
        for label, size in zip(labels, shape, strict=True):
            known = sizes.setdefault(label, size)
            sizes[label] = max(known, size)
            if known != size and 1 not in (known, size):
                raise ProblemError(f"index {label} of {equation!r} has sizes {known} and {size}")
    x = builder.broadcast(x, [sizes[i] for i in of_x], name)
    dropped = [i for i in of_x if i not in of_weight and i not in output]
    if dropped:
        x = builder.reduce(x, [of_x.index(i) for i in dropped], "sum", False, f"{name}:sum")
        of_x = "".join(i for i in of_x if i not in dropped)
    builder.budget.keep(math.prod(sizes[i] for i in of_weight))
    weight = np.broadcast_to(weight, [sizes[i] for i in of_weight])
    alone = tuple(a for a, i in enumerate(of_weight) if i not in of_x and i not in output)
    weight, of_weight = (
        weight.sum(axis=alone),
        "".join(i for a, i in enumerate(of_weight) if a not in alone),
    )
    stacked = [i for i in output if i in of_x and i in of_weight]
    summed = [i for i in of_x if i in of_weight and i not in output]
    rows = [i for i in output if i in of_weight and i not in of_x]
    columns = [i for i in output if i in of_x and i not in of_weight]

    def count(labels: list[str]) -> int:
        return math.prod(sizes[i] for i in labels)

    matrix = weight.transpose([of_weight.index(i) for i in (*stacked, *rows, *summed)])
    turned = builder.permute(
        x, [of_x.index(i) for i in (*stacked, *summed, *columns)], f"{name}:axes"
    )
    operand = builder.keep(turned, (count(stacked), count(summed), count(columns)))
    blocks = matrix.reshape(count(stacked), count(rows), count(summed))
    made = from_left(builder, blocks, operand, name)
    split = builder.keep(made, [sizes[i] for i in (*stacked, *rows, *columns)])
    order = [(*stacked, *rows, *columns).index(i) for i in output]
    return builder.permute(split, order, f"{name}:order")


def _parsed(equation: str, x_axes: int, weight_axes: int, first: bool) -> tuple[list[str], str]:
    """Return the indices of both operands and of the result; an ellipsis gets capital letters."""
    left, arrow, output = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    letters = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")
    if len(inputs) != 2 or not all(letters.fullmatch(part) for part in (*inputs, output)):
        raise ProblemError(f"the equation {equation!r} is not one of two operands")
    axes = (x_axes, weight_axes) if first else (weight_axes, x_axes)
    spare = [chr(c) for c in range(ord("\u03b1"), ord("\u03c9"))]
    hidden = [n - len(part.replace("...", "")) for n, part in zip(axes, inputs, strict=True)]
    if any(n < 0 or (n > 0 and "..." not in p) for n, p in zip(hidden, inputs, strict=True)):
        raise ProblemError(f"the equation {equation!r} does not fit operands of {axes} axes")
    widest = max(hidden)
    if widest > len(spare):
        raise ProblemError(f"the equation {equation!r} has too many axes")
    parts = [
        part.replace("...", "".join(spare[widest - n : widest]))
        for n, part in zip(hidden, inputs, strict=True)
    ]
    if arrow:
        output = output.replace("...", "".join(spare[:widest]))
    else:
        joined = "".join(parts)
        own = sorted(i for i in set(joined) if joined.count(i) == 1 and i not in spare)
        output = "".join((*spare[:widest], *own))
    if any(len(set(part)) != len(part) for part in (*parts, output)):
        raise ProblemError(f"the equation {equation!r} repeats an index within one operand")
    if not set(output) <= set("".join(parts)):
        raise ProblemError(f"the equation {equation!r} has an index that no operand has")
    return parts, output


def _stack(weight: tuple[int, ...], x: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(weight, x)
    except ValueError as error:
        raise ProblemError(f"stacks of shapes {weight} and {x} do not fit each other") from error


def _without_ones(weight: np.ndarray, axes: int) -> np.ndarray:
    """Return the matrices without leading axes of 1 that add no axis to the result."""
    while weight.ndim > 2 and weight.shape[0] == 1 and weight.ndim <= axes:
        weight = weight[0]
    return weight
