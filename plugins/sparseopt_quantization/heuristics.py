"""Pair by pair, from the left to the right, and sweeps: what the solvers of products share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparseopt_quantization.chain import (
    Chain,
    Factors,
    Side,
    as_columns,
    as_rows,
    from_columns,
    from_rows,
    spread_columns,
    spread_rows,
)
from sparseopt_quantization.terms import Terms, rates_of, squares_of

MOST_DIGITS = 12
"""Of a factor for which candidates are kept: all pieces are gone through."""


def pair_by_pair(chain: Chain, engine: Terms, triple: bool = True) -> Factors:
    """Quantize factors two by two, the last three of an odd run together if `triple`."""
    found = chain.nearest()
    for run in chain.runs():
        start = run.start
        while start + 1 < run.stop:
            size = 3 if triple and start + 3 == run.stop else 2
            part = range(start, start + size)
            _towards_right(chain, engine, part, found, weighted=False)
            if size == 3:
                _sweep_part(chain, engine, part, found)
            start += size
    return found


def left_to_right(chain: Chain, engine: Terms, weighted: bool, ahead: int = 1) -> Factors:
    """Quantize factor by factor, what a factor loses being made up for by the next ones.

    With weights the error of a factor counts as it will in the product, by the norms of the rounded
    prefix; without them as in the published method. If `ahead` > 1, so many candidates are kept for
    each column of the third-last factor, and those chosen that suit the last two best.
    """
    found = chain.nearest()
    for run in chain.runs():
        _towards_right(chain, engine, run, found, weighted, ahead)
    return found


def right_to_left(chain: Chain, engine: Terms, weighted: bool) -> Factors:
    """Quantize factor by factor from the last one on; see `left_to_right`."""
    found = chain.nearest()
    for run in chain.runs():
        if len(run) > 1:
            _towards_left(chain, engine, run, found, weighted)
    return found


def _towards_left(chain: Chain, engine: Terms, run: range, found: Factors, weighted: bool) -> None:
    """Quantize the factors of a run from the right, in place: rows for columns."""
    carried = chain.factors[run[-1]]
    square = np.ones(carried.shape[0] * carried.shape[2] * carried.shape[3])
    if run.stop == chain.count:
        square = chain.last

    def weights(place: int) -> np.ndarray:
        if weighted:
            return spread_columns(square, chain.factors[place].shape)
        return chain.column_weights(place)

    for place in run[:1:-1]:
        engine.check_time("rounding factor by factor")
        y, q = as_rows(carried), weights(place)
        v = engine.directions(y, q, as_rows(chain.rounded(place, carried)), chain.digits(place))
        rates = rates_of(y, q, v)
        found[place] = from_rows(v, carried.shape)
        square = squares_of(q, v)
        following = chain.factors[place - 1]
        a, _, c, d = following.shape
        carried = following * rates.reshape(a, 1, c, d)
    place = run[1]
    first = chain.factors[place - 1]
    x, y = as_columns(first), as_rows(carried)
    u, v = as_columns(chain.rounded(place - 1, first)), as_rows(chain.rounded(place, carried))
    v, u = engine.improved(
        (y, weights(place), v),
        (x, np.ones(x.shape) if weighted else chain.row_weights(place - 1), u),
        (chain.digits(place), chain.digits(place - 1)),
    )
    found[place - 1], found[place] = from_columns(u, first.shape), from_rows(v, carried.shape)


def _towards_right(
    chain: Chain,
    engine: Terms,
    run: range,
    found: Factors,
    weighted: bool,
    ahead: int = 1,
) -> None:
    """Quantize the factors of a run, in place."""
    if len(run) < 2:
        return
    first = chain.factors[run.start]
    square = np.ones(first.shape[0] * first.shape[1] * first.shape[3])
    carried = first

    def weights(place: int) -> np.ndarray:
        if weighted:
            return spread_rows(square, chain.factors[place].shape)
        return chain.row_weights(place)

    for place in run[:-2]:
        engine.check_time("rounding factor by factor")
        x, p = as_columns(carried), weights(place)
        start = as_columns(chain.rounded(place, carried))
        if ahead > 1 and place == run[-3] and may_look_ahead(chain, place):
            u = _looking_ahead(chain, engine, place, (x, p), ahead)
        else:
            u = engine.directions(x, p, start, chain.digits(place))
        rates = rates_of(x, p, u)
        # A column of zeros is answered by zeros; what follows it does not count.
        found[place] = from_columns(u, carried.shape)
        square = squares_of(p, u)
        following = chain.factors[place + 1]
        a, b, _, d = following.shape
        carried = following * rates.reshape(a, b, 1, d)
    place = run[-2]
    last = chain.factors[place + 1]
    x, y = as_columns(carried), as_rows(last)
    u, v = as_columns(chain.rounded(place, carried)), as_rows(chain.rounded(place + 1, last))
    if not weighted:
        q = chain.column_weights(place + 1)
    elif place + 2 == chain.count:
        q = spread_columns(chain.last, last.shape)
    else:
        q = np.ones(y.shape)
    u, v = engine.improved(
        (x, weights(place), u),
        (y, q, v),
        (chain.digits(place), chain.digits(place + 1)),
    )
    found[place], found[place + 1] = from_columns(u, carried.shape), from_rows(v, last.shape)


def may_look_ahead(chain: Chain, place: int) -> bool:
    """Whether candidates can be kept: real columns of two entries and few digits, twice."""
    two = all(chain.factors[i].shape[1] == 2 for i in (place, place + 1))
    few = all(chain.digits(i) <= MOST_DIGITS for i in (place, place + 1))
    return two and few and chain.is_real


def _looking_ahead(
    chain: Chain, engine: Terms, place: int, left: tuple[np.ndarray, np.ndarray], most: int
) -> np.ndarray:
    """Return the columns of a factor, chosen among candidates by what the next two make of them."""
    x, p = left
    following, last = chain.factors[place + 1], chain.factors[place + 2]
    ends = chain.last if place + 3 == chain.count else np.ones(np.prod(last.shape) // last.shape[1])
    y, q = as_rows(last), spread_columns(ends, last.shape)
    costs, u = engine.candidates(x, p, chain.digits(place), most)
    shape = (-1, most)
    flat, weights = u.reshape(-1, 2), np.repeat(p, most, axis=0)
    mus = rates_of(np.repeat(x, most, axis=0), weights, flat).reshape(shape)
    squares = (weights * flat * flat).sum(axis=1).reshape(shape)
    # The squared norms of the rows of the product of the next two.
    norms = (y * y * q).sum(axis=1)
    a, b, c, d = following.shape
    behind = (following**2 * norms.reshape(a, 1, c, d)).sum(axis=2).ravel()
    with np.errstate(invalid="ignore"):
        costs = np.where(behind[:, None] > 0.0, costs * behind[:, None], 0.0)
    w = following.transpose(0, 3, 1, 2).reshape(-1, b, c)
    row = np.arange(a * b * d).reshape(a, b, d).transpose(0, 2, 1).reshape(-1, b)
    column = np.arange(a * c * d).reshape(a, c, d).transpose(0, 2, 1).reshape(-1, c)
    digits = chain.digits(place + 1), chain.digits(place + 2)
    chosen = engine.ahead((w, row, column), (mus, squares, costs), (y, q), digits)
    number = np.empty(len(x), dtype=np.int64)
    number[row.ravel()] = chosen.ravel()
    u = u[np.arange(len(x)), number]
    return np.ldexp(u, np.frexp(rates_of(x, p, u))[1][:, None])


def _sweep_part(chain: Chain, engine: Terms, part: range, found: Factors) -> None:
    """Improve both pairs of a triple once, in place, as if it were the whole product."""
    first, last = chain.factors[part[0]], chain.factors[part[-1]]
    prefix = Side.start(np.ones(first.shape[0] * first.shape[1] * first.shape[3]))
    suffix = Side.start(np.ones(last.shape[0] * last.shape[2] * last.shape[3]))
    if part.stop == chain.count:
        suffix = Side.start(chain.last)
    before = prefix.past(first, found[part[0]], True)
    improve_pair(chain, engine, part[1], before, suffix, found)
    behind = suffix.past(last, found[part[2]], False)
    improve_pair(chain, engine, part[0], prefix, behind, found)


def improve_pair(
    chain: Chain,
    engine: Terms,
    place: int,
    prefix: Side,
    suffix: Side,
    found: Factors,
    again: int = 1,
) -> None:
    """Replace, in place, a factor and the next by the best ones for all others as they are.

    Term by term: of the vectors times the ratios of both sides, with their squares as weights.
    `again` counts the passes.
    """
    given, following = chain.factors[place], chain.factors[place + 1]
    p, q = spread_rows(prefix.square, given.shape), spread_columns(suffix.square, following.shape)
    x = as_columns(given) * spread_rows(prefix.ratio, given.shape)
    y = as_rows(following) * spread_columns(suffix.ratio, following.shape)
    u, v = engine.improved(
        (x, p, as_columns(found[place])),
        (y, q, as_rows(found[place + 1])),
        (chain.digits(place), chain.digits(place + 1)),
        again=again,
    )
    found[place], found[place + 1] = from_columns(u, given.shape), from_rows(v, following.shape)


def improve_one(chain: Chain, place: int, prefix: Side, suffix: Side, found: Factors) -> None:
    """Replace, in place, a factor by the best one for all others as they are, value by value."""
    given = chain.factors[place]
    a, b, c, d = given.shape
    left, right = prefix.ratio.reshape(a, b, 1, d), suffix.ratio.reshape(a, 1, c, d)
    wanted = left * given * right
    if given.dtype.kind == "f":
        wanted = wanted.real
    counts = prefix.square.reshape(a, b, 1, d) * suffix.square.reshape(a, 1, c, d) > 0.0
    found[place] = np.where(counts, chain.rounded(place, wanted), found[place])


def sweep(
    chain: Chain, engine: Terms, found: Factors, pairs: bool
) -> Iterator[tuple[int, Factors]]:
    """Improve all factors from the left to the right and back, in place, forever.

    Two at a time if `pairs`, where both are rounded to some digits; but not where real factors have
    complex ones beside them, as what is wanted of two is no product then. After each pass the
    number of passes is yielded.
    """
    first = chain.factors[0]
    start = Side.start(np.ones(first.shape[0] * first.shape[1] * first.shape[3]))
    end = Side.start(chain.last)
    inside = [False] * chain.count
    alike = len({f.dtype.kind for f in chain.factors}) == 1
    for run in chain.runs() if pairs and alike else ():
        for place in run[:-1]:
            inside[place] = True
    count, passes = chain.count, 0
    suffixes = [end] * (count + 1)
    for place in reversed(range(count)):
        suffixes[place] = suffixes[place + 1].past(chain.factors[place], found[place], False)
    prefixes = [start] * (count + 1)
    while True:
        for direction in (1, -1):
            for place in range(count)[::direction]:
                engine.check_time("sweeping over the factors")
                if inside[place]:
                    sides = prefixes[place], suffixes[place + 2]
                    improve_pair(chain, engine, place, *sides, found, passes + 1)
                elif chain.forms[place] is not None:
                    improve_one(chain, place, prefixes[place], suffixes[place + 1], found)
                if direction == 1:
                    prefixes[place + 1] = prefixes[place].past(
                        chain.factors[place], found[place], True
                    )
                else:
                    if inside[place]:
                        suffixes[place + 1] = suffixes[place + 2].past(
                            chain.factors[place + 1], found[place + 1], False
                        )
                    suffixes[place] = suffixes[place + 1].past(
                        chain.factors[place], found[place], False
                    )
            passes += 1
            yield passes, found
