"""A prefetch instruction for compiled kernels, which numba has no name for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# Arguments of llvm.prefetch: for reading, kept in the second-level cache, data.
_READ, _SECOND_LEVEL, _DATA = 0, 2, 1


@intrinsic
def prefetch(typing: Any, matrix: Any, row: Any, column: Any) -> tuple[Any, Callable[..., Any]]:
    """Ask for the cache line of ``matrix[row, column]``; nothing waits for it.

    Source: LLVM Language Reference, ``llvm.prefetch``.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(context, builder, kind, array, arguments[1:])
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, word, word, word]),
            "llvm.prefetch.p0i8",
        )
        hints = [word(hint) for hint in (_READ, _SECOND_LEVEL, _DATA)]
        builder.call(function, [builder.bitcast(place, byte), *hints])
        return context.get_dummy_value()

    return types.void(matrix, row, column), generate
