"""Vector instructions for rows of an operand: what `lane_kernels` is made of.

A vector holds neighbouring entries of one row, and the values that multiply them stand in the same
order: so rows and values are read as they lie in tensors; nothing is transposed, packed or copied.
Values are held in registers while several rows pass by.

A factor (a, 2, 2, d) mixes entries d apart. Where d is less than the lanes of a vector, both are in
one vector x, and the result is p x + q S x: S swaps lanes d apart, p has the diagonals of the
blocks, q the other values. Where d is a multiple of the lanes, whole vectors are mixed; two such
factors at once mix four of them. Addresses and distances are integers, in bytes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sparseopt_butterfly.fused_kernels import VECTOR

Pieces = list[Any]


class Rows:
    """Writes instructions for vectors of one type."""

    fast = ("contract", "nsz")

    def __init__(self, context: Any, builder: Any, scalar: Any) -> None:
        self.builder = builder
        kind = context.get_data_type(scalar)
        self.itemsize = context.get_abi_sizeof(kind)
        self.lanes = VECTOR // self.itemsize
        self.vector = ir.VectorType(kind, self.lanes)

    def pointer(self, address: Any) -> Any:
        """Pointer to the vector at an address."""
        return self.builder.inttoptr(address, self.vector.as_pointer())

    def load(self, address: Any) -> Any:
        """Vector at an address."""
        return self.builder.load(self.pointer(address), align=self.itemsize)

    def store(self, vector: Any, address: Any) -> None:
        """Write a vector."""
        self.builder.store(vector, self.pointer(address), align=self.itemsize)

    def moved(self, address: Any, *steps: Any) -> Any:
        """Address plus the product of some integers."""
        total = None
        for step in steps:
            number = ir.Constant(address.type, step) if isinstance(step, int) else step
            total = number if total is None else self.builder.mul(total, number)
        return self.builder.add(address, total)

    def times(self, value: Any, vector: Any, added: Any = None) -> Any:
        """Product, plus what is added."""
        product = self.builder.fmul(value, vector, flags=self.fast)
        return product if added is None else self.plus(product, added)

    def shuffled(self, one: Any, two: Any, order: list[int]) -> Any:
        """Lanes of two vectors, numbered through."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), order)
        return self.builder.shuffle_vector(one, two, mask)

    def plus(self, one: Any, two: Any) -> Any:
        """Sum."""
        return self.builder.fadd(one, two, flags=self.fast)

    def spread(self, address: Any) -> Any:
        """Vector whose lanes are all the number at an address."""
        place = self.builder.inttoptr(address, self.vector.element.as_pointer())
        number = self.builder.load(place, align=self.itemsize)
        nothing = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(nothing, number, ir.IntType(32)(0))
        return self.shuffled(first, first, [0] * self.lanes)

    def interleaved(self, one: Any, two: Any, bit: int) -> tuple[Any, Any]:
        """The first and the second of each two groups of ``bit`` lanes, of the one and the other
        vector in turn: a stage of a transpose, which swaps this bit of the numbers of rows with
        that of their lanes."""
        numbers = range(self.lanes)
        low = [i if not i & bit else self.lanes + (i ^ bit) for i in numbers]
        high = [i ^ bit if not i & bit else self.lanes + i for i in numbers]
        return self.shuffled(one, two, low), self.shuffled(one, two, high)

    def swapped(self, vector: Any, d: int) -> Any:
        """Vector with lanes swapped that are d apart."""
        return self.shuffled(vector, vector, [lane ^ d for lane in range(self.lanes)])

    def diagonals(self, address: Any, d: int) -> tuple[Any, Any]:
        """Vectors p and q of the values of the blocks in a vector."""
        held = self.load(address), self.load(self.moved(address, VECTOR))
        own, other = [], []
        for lane in range(self.lanes):
            block, place, j = lane // (2 * d), lane % d, lane // d % 2
            own.append(4 * d * block + 3 * j * d + place)
            other.append(4 * d * block + (1 + j) * d + place)
        return self.shuffled(*held, own), self.shuffled(*held, other)

    def add_diagonals(self, address: Any, d: int, own: Any, other: Any) -> None:
        """Add vectors like p and q to values."""
        order = []
        for number in range(2 * self.lanes):
            block, entry, place = number // (4 * d), number // d % 4, number % d
            j, k = divmod(entry, 2)
            lane = block * 2 * d + j * d + place
            order.append(lane if j == k else self.lanes + lane)
        for half in range(2):
            part = self.shuffled(own, other, order[half * self.lanes : (half + 1) * self.lanes])
            self.add(part, self.moved(address, half * VECTOR))

    def add(self, vector: Any, address: Any) -> None:
        """Add a vector to memory."""
        self.store(self.plus(self.load(address), vector), address)

    def sums(self, count: int) -> Pieces:
        """Places of vectors that start as 0; they become registers."""
        found: Pieces = []
        for _ in range(count):
            place = cgutils.alloca_once(self.builder, self.vector)
            self.builder.store(ir.Constant(self.vector, None), place)
            found.append(place)
        return found

    def grow(self, place: Any, one: Any, two: Any) -> None:
        """Add a product to such a vector."""
        self.builder.store(self.times(one, two, self.builder.load(place)), place)

    def gather(self, places: Pieces, one: Any, two: Any, three: Any, four: Any) -> None:
        """Add the gradients of a block that took (three, four) and whose results have the
        cotangents (one, two)."""
        factors = (one, three), (one, four), (two, three), (two, four)
        for place, (left, right) in zip(places, factors, strict=True):
            self.grow(place, left, right)

    def block(self, address: Any, d: Any) -> Pieces:
        """Values of 2 x 2 blocks, row by row, d bytes apart."""
        return [self.load(self.moved(address, k, d)) for k in range(4)]

    def add_block(self, places: Pieces, address: Any, d: Any) -> None:
        """Add such vectors to values."""
        for k, place in enumerate(places):
            self.add(self.builder.load(place), self.moved(address, k, d))

    def address_at(self, places: Any, k: int) -> Any:
        """Address number k of some that stand at an address."""
        place = self.builder.add(places, ir.Constant(places.type, 8 * k))
        return self.builder.load(self.builder.inttoptr(place, places.type.as_pointer()))

    def values_within(self, places: Any, shift: Any) -> list[tuple[int, Any, Any]]:
        """d = 1, 2, 4, .. and the vectors of values for one vector of an operand."""
        found: list[tuple[int, Any, Any]] = []
        d = 1
        while d < self.lanes:
            address = self.moved(self.address_at(places, len(found)), shift)
            found.append((d, *self.diagonals(address, d)))
            d *= 2
        return found


def mixed(
    rows: Rows, block: Pieces, one: Any, two: Any, plus: tuple[Any, Any] = (None, None)
) -> Pieces:
    """A 2 x 2 block times two vectors, plus two others."""
    return [
        rows.times(block[1], two, rows.times(block[0], one, plus[0])),
        rows.times(block[3], two, rows.times(block[2], one, plus[1])),
    ]


def mixed_back(rows: Rows, block: Pieces, one: Any, two: Any) -> Pieces:
    """A transposed 2 x 2 block times two vectors."""
    return [
        rows.times(block[2], two, rows.times(block[0], one)),
        rows.times(block[3], two, rows.times(block[1], one)),
    ]


def kernel(write: Any) -> Any:
    """Turn a function of (rows, *integers) that writes instructions into an intrinsic.

    It takes a number that says the type, and a tuple of the integers.
    """

    def typed(typing: Any, like: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            held = cgutils.unpack_tuple(builder, arguments[1], len(numbers))
            write(Rows(context, builder, like), *held)
            return context.get_dummy_value()

        return types.void(like, numbers), generate

    return intrinsic(typed)


def _far(rows: Rows, d1: Any, d2: Any) -> Pieces:
    """Distances of four vectors that two factors mix."""
    return [ir.Constant(d1.type, 0), d1, d2, rows.builder.add(d1, d2)]


@kernel
def pair(
    rows: Rows,
    x: Any,
    x_row: Any,
    y: Any,
    y_row: Any,
    count: Any,
    d1: Any,
    d2: Any,
    one: Any,
    two: Any,
    three: Any,
    four: Any,
    bias: Any,
    biased: Any,
) -> None:
    """Apply two factors to four vectors of some rows: at x, and d1, d2, and d1 + d2 behind.

    The values of the first factor stand at ``one`` and ``two``, those of
    the second one at ``three`` and ``four``. ``biased`` is 1, or 0 where the bias is one vector of
    zeros.
    """
    far = _far(rows, d1, d2)
    a, b = rows.block(one, d1), rows.block(two, d1)
    e, f = rows.block(three, d2), rows.block(four, d2)
    added = [rows.load(rows.moved(bias, place, biased)) for place in far]
    with cgutils.for_range(rows.builder, count) as loop:
        source, target = rows.moved(x, loop.index, x_row), rows.moved(y, loop.index, y_row)
        p, q, r, s = (rows.load(rows.moved(source, place)) for place in far)
        p, q = mixed(rows, a, p, q)
        r, s = mixed(rows, b, r, s)
        p, r = mixed(rows, e, p, r, (added[0], added[2]))
        q, s = mixed(rows, f, q, s, (added[1], added[3]))
        for vector, place in zip((p, q, r, s), far, strict=True):
            rows.store(vector, rows.moved(target, place))


@kernel
def single(
    rows: Rows,
    x: Any,
    x_row: Any,
    y: Any,
    y_row: Any,
    count: Any,
    d: Any,
    values: Any,
    bias: Any,
    biased: Any,
) -> None:
    """Apply one factor to two vectors of some rows, see `pair`."""
    block = rows.block(values, d)
    added = rows.load(bias), rows.load(rows.moved(bias, d, biased))
    with cgutils.for_range(rows.builder, count) as loop:
        source, target = rows.moved(x, loop.index, x_row), rows.moved(y, loop.index, y_row)
        p, q = rows.load(source), rows.load(rows.moved(source, d))
        p, q = mixed(rows, block, p, q, added)
        rows.store(p, target)
        rows.store(q, rows.moved(target, d))


@kernel
def within(
    rows: Rows,
    x: Any,
    x_row: Any,
    y: Any,
    y_row: Any,
    count: Any,
    places: Any,
    shift: Any,
    bias: Any,
) -> None:
    """Apply factors with d = 1, 2, 4, .. to one vector of some rows.

    The addresses of their values stand at ``places``; those of this vector begin ``shift`` behind.
    """
    values = rows.values_within(places, shift)
    added = rows.load(bias)
    with cgutils.for_range(rows.builder, count) as loop:
        vector = rows.load(rows.moved(x, loop.index, x_row))
        for d, own, other in values:
            plus = added if 2 * d == rows.lanes else None
            vector = rows.times(own, vector, rows.times(other, rows.swapped(vector, d), plus))
        rows.store(vector, rows.moved(y, loop.index, y_row))


@kernel
def pair_back(
    rows: Rows,
    x: Any,
    x_row: Any,
    g: Any,
    g_row: Any,
    y: Any,
    y_row: Any,
    count: Any,
    d1: Any,
    d2: Any,
    one: Any,
    two: Any,
    three: Any,
    four: Any,
    to_one: Any,
    to_two: Any,
    to_three: Any,
    to_four: Any,
) -> None:
    """From the cotangents g of what `pair` gives, write those of what it takes to y; add the
    gradients of the values to what stands at ``to_one`` .. ``to_four``."""
    far = _far(rows, d1, d2)
    a, b = rows.block(one, d1), rows.block(two, d1)
    e, f = rows.block(three, d2), rows.block(four, d2)
    sums = [rows.sums(4) for _ in range(4)]
    with cgutils.for_range(rows.builder, count) as loop:
        source, above = rows.moved(x, loop.index, x_row), rows.moved(g, loop.index, g_row)
        target = rows.moved(y, loop.index, y_row)
        x0, x1, x2, x3 = (rows.load(rows.moved(source, place)) for place in far)
        p, q, r, s = (rows.load(rows.moved(above, place)) for place in far)
        t0, t1 = mixed(rows, a, x0, x1)
        t2, t3 = mixed(rows, b, x2, x3)
        rows.gather(sums[2], p, r, t0, t2)
        rows.gather(sums[3], q, s, t1, t3)
        p, r = mixed_back(rows, e, p, r)
        q, s = mixed_back(rows, f, q, s)
        rows.gather(sums[0], p, q, x0, x1)
        rows.gather(sums[1], r, s, x2, x3)
        p, q = mixed_back(rows, a, p, q)
        r, s = mixed_back(rows, b, r, s)
        for vector, place in zip((p, q, r, s), far, strict=True):
            rows.store(vector, rows.moved(target, place))
    for found, place, step in zip(
        sums, (to_one, to_two, to_three, to_four), (d1, d1, d2, d2), strict=True
    ):
        rows.add_block(found, place, step)


@kernel
def single_back(
    rows: Rows,
    x: Any,
    x_row: Any,
    g: Any,
    g_row: Any,
    y: Any,
    y_row: Any,
    count: Any,
    d: Any,
    values: Any,
    to: Any,
) -> None:
    """What `pair_back` is to `pair`, of `single`."""
    block, sums = rows.block(values, d), rows.sums(4)
    with cgutils.for_range(rows.builder, count) as loop:
        source, above = rows.moved(x, loop.index, x_row), rows.moved(g, loop.index, g_row)
        target = rows.moved(y, loop.index, y_row)
        p, q = rows.load(above), rows.load(rows.moved(above, d))
        rows.gather(sums, p, q, rows.load(source), rows.load(rows.moved(source, d)))
        p, q = mixed_back(rows, block, p, q)
        rows.store(p, target)
        rows.store(q, rows.moved(target, d))
    rows.add_block(sums, to, d)


@kernel
def within_back(
    rows: Rows,
    x: Any,
    x_row: Any,
    g: Any,
    g_row: Any,
    y: Any,
    y_row: Any,
    count: Any,
    places: Any,
    results: Any,
    shift: Any,
) -> None:
    """What `pair_back` is to `pair`, of `within`: gradients are added to what stands at the
    addresses at ``results``."""
    values = rows.values_within(places, shift)
    sums = [rows.sums(2) for _ in values]
    with cgutils.for_range(rows.builder, count) as loop:
        vector = rows.load(rows.moved(x, loop.index, x_row))
        taken = []
        for d, own, other in values:
            swapped = rows.swapped(vector, d)
            taken.append((vector, swapped))
            vector = rows.times(own, vector, rows.times(other, swapped))
        vector = rows.load(rows.moved(g, loop.index, g_row))
        for (d, own, other), held, found in reversed(list(zip(values, taken, sums, strict=True))):
            for place, piece in zip(found, held, strict=True):
                rows.grow(place, vector, piece)
            swapped = rows.swapped(rows.times(other, vector), d)
            vector = rows.times(own, vector, swapped)
        rows.store(vector, rows.moved(y, loop.index, y_row))
    for k, ((d, _, _), found) in enumerate(zip(values, sums, strict=True)):
        own, other = (rows.builder.load(place) for place in found)
        rows.add_diagonals(rows.moved(rows.address_at(results, k), shift), d, own, other)


@intrinsic  # type: ignore[untyped-decorator]
def number_at(typing: Any, address: Any, k: Any) -> Any:
    """Return integer number k of those at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(types.intp)
        pointer = builder.inttoptr(arguments[0], kind.as_pointer())
        return builder.load(builder.gep(pointer, [arguments[1]]))

    return types.intp(types.intp, types.intp), generate


@kernel
def column_sums(rows: Rows, g: Any, g_row: Any, count: Any, to: Any) -> None:
    """Add one vector of some rows to what stands at ``to``."""
    (total,) = rows.sums(1)
    with cgutils.for_range(rows.builder, count) as loop:
        vector = rows.load(rows.moved(g, loop.index, g_row))
        rows.builder.store(rows.plus(vector, rows.builder.load(total)), total)
    rows.add(rows.builder.load(total), to)
