"""Rounding agrees with rational arithmetic, with ml_dtypes, and with the reports of others."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import sparseopt as so

REPORTS = json.loads((Path(__file__).parent / "reports.json").read_text())["cases"]
PEERS: dict[str, Any] = {
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
}
HARDWARE = [*PEERS, "int8", "int4"]


def decoded(name: str) -> np.ndarray:
    """Return the finite numbers behind all codes, not negative ones, ascending."""
    if name.startswith("int"):
        return np.arange({"int8": 128.0, "int4": 8.0}[name])
    bits = {"bf16": 16, "fp16": 16}.get(name, 8)
    codes = np.arange(2**bits, dtype=np.uint16 if bits == 16 else np.uint8)
    if name in ("e2m3", "e3m2", "e2m1"):
        codes = codes[: 16 if name == "e2m1" else 64]
    with np.errstate(invalid="ignore"):
        values = codes.view(PEERS[name]).astype(np.float64)
    return np.unique(np.abs(values[np.isfinite(values)]))


def rounded_fraction(value: float, numbers: list[Fraction]) -> Fraction:
    """Return the nearest of all numbers; halfway, the one at an even place."""
    exact = abs(Fraction(value))
    best = min(range(len(numbers)), key=lambda i: (abs(numbers[i] - exact), i % 2))
    return numbers[best] if value >= 0 else -numbers[best]


@pytest.mark.parametrize("name", HARDWARE)
def test_the_numbers_are_those_of_the_codes(name: str) -> None:
    numbers = so.NumberFormat(name).positive_numbers()
    assert np.array_equal(numbers, decoded(name)[1:])
    assert so.NumberFormat(name).contains(numbers)
    assert numbers[-1] == so.NumberFormat(name).largest


@pytest.mark.parametrize("name", list(PEERS))
def test_ml_dtypes_agrees_bit_by_bit(name: str) -> None:
    """At every code, midpoint and neighbour, at borders, and at random bits."""
    numbers = decoded(name)
    middle = (numbers[1:] + numbers[:-1]) / 2.0
    step = numbers[-1] - numbers[-2]
    over = np.array([numbers[-1] + step / 2, numbers[-1] + step, 3.3e38, math.inf])
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        x = np.concatenate([numbers, middle, over]).astype(np.float32)
        x = np.concatenate([x, *(np.nextafter(x, np.float32(s)) for s in (math.inf, -math.inf))])
    noise = rng.integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    near = np.ldexp(rng.standard_normal(100_000), rng.integers(-20, 20, 100_000))
    x = np.concatenate([x, noise, near.astype(np.float32)])
    x = np.concatenate([x, -x])
    if name in ("e2m3", "e3m2", "e2m1"):
        x = x[~np.isnan(x)]
    ours = so.NumberFormat(name).round(x, "ieee")
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = x.astype(PEERS[name]).astype(np.float32)
    assert ours.dtype == np.float32
    assert np.array_equal(ours, theirs, equal_nan=True)
    is_number = ~np.isnan(x)
    assert np.array_equal(np.signbit(ours)[is_number], np.signbit(theirs)[is_number])


@pytest.mark.parametrize("name", [n for n in HARDWARE if n not in ("bf16", "fp16")])
def test_double_precision_is_rounded_once(name: str) -> None:
    numbers = [Fraction(v) for v in decoded(name)]
    middle = [float((a + b) / 2) for a, b in itertools.pairwise(numbers)]
    x = [s * v * (1 + e) for v in middle for s in (1, -1) for e in (0.0, 2.0**-50, -(2.0**-50))]
    found = so.NumberFormat(name).round(x)
    assert [Fraction(v) for v in found] == [rounded_fraction(v, numbers) for v in x]


def to_digits(value: float, t: int) -> Fraction:
    """Round to t significant binary digits in rational arithmetic."""
    exact = abs(Fraction(value))
    e = 0
    while exact and exact * Fraction(2) ** -e >= 2**t:
        e += 1
    while exact and exact * Fraction(2) ** -e < 2 ** (t - 1):
        e -= 1
    rounded = round(exact * Fraction(2) ** -e) * Fraction(2) ** e
    return rounded if value >= 0 else -rounded


@pytest.mark.parametrize(
    ("t", "dtype"),
    [
        *((t, np.float64) for t in (1, 2, 3, 8, 11, 24, 52, 53)),
        *((t, np.float32) for t in (1, 2, 8, 23, 24)),
    ],
)
def test_significands_agree_with_rational_arithmetic(t: int, dtype: Any) -> None:
    rng = np.random.default_rng(t)
    least = np.finfo(dtype).smallest_subnormal
    x = np.concatenate(
        [
            rng.standard_normal(40),
            rng.integers(1, 2**10, 60) / 8.0,
            rng.integers(0, 2**20, 40) * float(least),
            -(2.0 ** rng.integers(-100, 100, 10)),
        ]
    ).astype(dtype)
    found = so.significand(t).round(x)
    assert found.dtype == dtype
    assert [Fraction(float(v)) for v in found] == [to_digits(float(v), t) for v in x]
    assert so.significand(t).contains(found)
    assert so.significand(t).contains(x) == np.array_equal(found, x)


@pytest.mark.parametrize("mode", ["ieee", "saturate"])
def test_report_on_the_border_of_overflow(mode: str) -> None:
    record = REPORTS[0]
    kind = {"ieee": "ieee/OCP", "saturate": "saturating"}[mode]
    for text, right in record["right"].items():
        for dtype in (np.float64, np.float32):
            found = so.NumberFormat("e4m3").round(np.array([float(text)], dtype=dtype), mode)[0]
            assert np.array_equal(found, float(right[kind]), equal_nan=True)


def test_report_on_double_rounding() -> None:
    record = REPORTS[1]
    for name, key in (("e4m3", "values (float64, exact)"), ("bf16", "values 2 (float64, exact)")):
        x = [float.fromhex(v) for v in record["problem"][key]]
        right = [float(v) for v in record["right"]["e4m3fn" if name == "e4m3" else name]]
        assert so.NumberFormat(name).round(x).tolist() == right
    assert so.NumberFormat("e4m3").round(400 + 2**-40) == 416.0


@pytest.mark.parametrize("scale", ["free", "power_of_two"])
def test_report_on_blocks_of_zeros(scale: str) -> None:
    matrix = np.array(REPORTS[2]["problem"]["matrix"], dtype=np.float64)
    codes, scales = so.NumberFormat("e4m3", scale).round_blocks(matrix, axis=1)
    assert np.isfinite(scales).all()
    assert (scales > 0.0).all()
    assert np.isfinite(codes).all()
    assert np.array_equal(codes[0], [0.0, 0.0, 0.0, 0.0])
    assert scales[0, 0] == 1.0
    assert np.array_equal(codes[1] * scales[1], matrix[1])
    nonzero = matrix != 0.0
    error = np.abs((codes * scales - matrix)[nonzero] / matrix[nonzero])
    assert error.max() <= 2.0**-4
    assert np.array_equal(so.NumberFormat("e4m3", scale).round(matrix, axis=1), codes * scales)


@pytest.mark.parametrize("name", HARDWARE)
@pytest.mark.parametrize("scale", ["free", "power_of_two"])
def test_codes_are_nearest_to_the_exact_quotients(name: str, scale: str) -> None:
    """Values lie on and beside midpoints of the scaled grid."""
    rng = np.random.default_rng(1)
    form = so.NumberFormat(name, scale)
    numbers = so.NumberFormat(name).positive_numbers()[-60:]
    for power in (0, 900, -800):
        peak = math.ldexp(rng.uniform(1.0, 2.0), power)
        s = float(form.block_scales([peak]))
        picked = rng.choice(numbers[1:] + numbers[:-1], 30) / 2.0 * s
        x = np.concatenate([[peak], picked, np.nextafter(picked, 0.0), -picked[:5]])
        codes, found = form.round_blocks(x)
        assert found == s
        assert np.abs(codes).max() <= form.largest
        grid = np.concatenate([[0.0], so.NumberFormat(name).positive_numbers()])
        for value, code in zip(x, codes, strict=True):
            exact = abs(Fraction(value) / Fraction(s))
            place = int(np.searchsorted(grid, float(exact)))
            near = [Fraction(v) for v in grid[max(0, place - 2) : place + 2]]
            assert abs(abs(Fraction(code)) - exact) == min(abs(v - exact) for v in near)


def test_the_least_power_of_two_without_overflow() -> None:
    form = so.NumberFormat("int8", "power_of_two")
    assert form.block_scales([127.0]) == 1.0
    assert form.block_scales([127.5]) == 2.0
    assert form.block_scales([63.5]) == 0.5
    assert form.block_scales([0.0, -1e300]) == 2.0 ** math.ceil(math.log2(1e300 / 127.0))
    assert so.significand(8, "power_of_two").block_scales([3.0]) == 1.0


def test_complex_numbers_are_rounded_by_parts() -> None:
    form = so.NumberFormat("e4m3")
    x = np.array([1e9 + 0.3j, -0.07 - 1e-9j], dtype=np.complex64)
    found = form.round(x)
    assert found.dtype == np.complex64
    assert np.array_equal(found.real, form.round(x.real))
    assert np.array_equal(found.imag, form.round(x.imag))
    assert form.contains(found)
    assert not form.contains(x)
    codes, scale = so.NumberFormat("int8", "free").round_blocks(x)
    assert scale == np.float64(np.float32(1e9)) / 127.0
    assert codes[0] == 127.0


def test_shapes_and_types() -> None:
    form = so.significand(4)
    assert isinstance(form.round(1.03), np.float64)
    assert form.round(np.zeros((0, 3))).shape == (0, 3)
    assert form.round(np.arange(40)[::-3]).tolist() == form.round(np.arange(40.0))[::-3].tolist()
    assert form.round(np.float16(1.03)).dtype == np.float32
    assert form.round(np.eye(3).T[::2]).tolist() == np.eye(3)[::2].tolist()
    assert form.round(True) == 1.0
    assert so.NumberFormat("int4").round([]).size == 0
    assert not np.signbit(so.NumberFormat("int4").round(-0.2))
    assert np.signbit(so.NumberFormat("e2m1").round(-0.2))


def test_significands_overflow_where_their_dtype_does() -> None:
    top = np.finfo(np.float64).max
    form = so.significand(8)
    assert form.round(top) == (2.0 - 2.0**-7) * 2.0**1023
    assert form.round(-top, "ieee") == -math.inf
    assert form.contains(form.round(np.array([top, 1e308])))
    assert form.round(np.float32(3.4e38)) == (2.0 - 2.0**-7) * 2.0**127
    with pytest.raises(so.ProblemError, match="entry \\(1,\\)"):
        form.round([0.0, top], "error")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, math.nan], "NaN at entry \\(1,\\)"),
        ([2**53 + 1], "float64 does not"),
        (np.ma.masked_array([1.0], [True]), "masked"),
        (["a"], "dtype"),
        ([[1.0], [1.0, 2.0]], "ragged"),
        (np.array([1.0], dtype=np.longdouble), "dtype"),
    ],
)
def test_values_that_are_refused(values: Any, message: str) -> None:
    with pytest.raises(so.ProblemError, match=message):
        so.NumberFormat("int4").round(values)


def test_other_refusals() -> None:
    with pytest.raises(so.UnknownNameError, match="'e4m3'"):
        so.NumberFormat("e4m33")
    for t in (0, 54, 2.0, True):
        with pytest.raises(so.ProblemError, match="from 1 to 53"):
            so.significand(t)  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match="scale"):
        so.NumberFormat("int4", "any")
    with pytest.raises(so.ProblemError, match="overflow must be one of"):
        so.NumberFormat("int4").round(1.0, "wrap")
    with pytest.raises(so.ProblemError, match="24 digits"):
        so.significand(25).round(np.float32(1.0))
    with pytest.raises(so.ProblemError, match="448"):
        so.NumberFormat("e4m3").round([[1.0, 2.0], [465.0, 1.0]], "error")
    with pytest.raises(so.ProblemError, match="NaN"):
        so.NumberFormat("e4m3").round([math.nan], "error")
    with pytest.raises(so.ProblemError, match="infinitely many"):
        so.significand(3).positive_numbers()
    with pytest.raises(so.ProblemError, match="no scale"):
        so.NumberFormat("int4", "free").round([math.inf])
    assert so.NumberFormat("e4m3").round(464.0, "error") == 448.0


def test_formats_travel_through_json_and_compare() -> None:
    for form in (so.significand(8, "free"), so.NumberFormat("e4m3")):
        assert so.from_json(so.to_json(form)) == form
    assert so.significand(8) == so.NumberFormat("F8")
    assert str(so.NumberFormat("int4", "free")) == "int4 with a free scale"
    assert not so.NumberFormat("e4m3").contains([math.inf])


def test_tensors_are_taken_without_their_gradient() -> None:
    torch = pytest.importorskip("torch", reason="the tensors are torch's")
    tensor = torch.tensor([1.03, 2.0])
    assert so.significand(3).round(tensor).tolist() == [1.0, 2.0]
    with pytest.raises(so.ProblemError, match="detach"):
        so.significand(3).round(tensor.requires_grad_())


@pytest.mark.parametrize(("values", "axis"), [(np.ones((2, 2)), 2), (1.0, 0), (np.ones(3), -2)])
def test_an_axis_that_is_not_there(values: Any, axis: int) -> None:
    with pytest.raises(so.ProblemError, match=f"axis {axis} is none of"):
        so.NumberFormat("e4m3", "free").round(values, axis=axis)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["e4m3", "e5m2", "e2m3", "e3m2", "e2m1", "int8", "int4", "fp16"])
def test_blocks_near_the_largest_float_stay_finite(name: str, dtype: type[np.floating]) -> None:
    form, most = so.NumberFormat(name, "power_of_two"), Fraction(float(np.finfo(dtype).max))
    grid = so.NumberFormat(name).round(np.linspace(0.0, form.largest, 70_000))
    numbers = [Fraction(code) for code in np.unique(grid)[-2100:].tolist()]
    for share in np.linspace(0.5, 1.0, 21):
        value = dtype(float(most) * share)
        values = np.array([value, -value])
        scale, found = Fraction(float(form.block_scales(values))), form.round(values)
        assert found[1] == -found[0]
        held = [code * scale for code in numbers if code * scale <= most]
        best = min(abs(Fraction(float(value)) - number) for number in held)
        assert Fraction(float(found[0])) in held
        assert abs(Fraction(float(value)) - Fraction(float(found[0]))) == best
        if np.isinf(form.round(values, "ieee")).any():
            with pytest.raises(so.ProblemError, match="rounds to one"):
                form.round(values, "error")
