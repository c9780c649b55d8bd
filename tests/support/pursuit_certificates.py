"""Certificates of least norms, constrained least squares and known supports, to be forged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pursuit_problems
import scipy.sparse

import sparseopt as so

KINDS = "coefficients and evidence are real where design and target are"
Pairs = Iterator[tuple[str, Any]]
OBJECTIVE, MINIMUM, GAP = (
    "the objective is at most",
    "the minimum is at least",
    "the gap is at most",
)


def changed(certificate: Any, **changes: Any) -> Any:
    """Return a certificate with other evidence; fields of the answer go by ``answer_``."""
    answer = {k[7:]: v for k, v in changes.items() if k.startswith("answer_")}
    rest = {k: v for k, v in changes.items() if not k.startswith("answer_")}
    if answer:
        rest["answer"] = dataclasses.replace(certificate.answer, **answer)
    return dataclasses.replace(certificate, **rest)


def complex_problems(
    design: np.ndarray, target: np.ndarray, noisy: np.ndarray
) -> dict[str, so.Problem]:
    """Return questions about complex numbers."""
    turned = design + 1j * design[::-1]
    image = turned @ np.where(np.arange(24) < 2, 1.0 - 2.0j, 0.0)
    csr = scipy.sparse.csr_array(np.round(design * 3) * 1j)
    return {
        "complex support": so.KnownSupportRegression(turned, noisy, [1, 5, 7]),
        "complex, deficient": so.KnownSupportRegression([[1, 1j, 0], [1, 1j, 1]], [2, 4j], [0, 1]),
        "complex pursuit": so.BasisPursuit(turned, image),
        "complex, many": so.BasisPursuit(turned[:4], noisy[:4] * (1 + 2j)),
        "complex target": so.BasisPursuit(csr, noisy * 1j),
        "complex noise": so.BasisPursuit(turned, noisy, 0.3),
        "complex norm 2": so.BasisPursuit(turned, target * 1j, norm=2),
        "complex norm inf": so.BasisPursuit(turned[:4], noisy[:4], norm=math.inf),
        "complex nothing": so.BasisPursuit([[1, 2j], [2, 4j]], [1, 3j]),
        "complex ball": so.ConstrainedRegression(turned, noisy * 1j, 1.0),
        "complex root": so.SquareRootLasso(turned, noisy, 0.7),
    }


def product_problems() -> dict[str, so.Problem]:
    """Return questions about a product of factors, whose columns are known up to rounding."""
    rng = np.random.default_rng(5)
    patterns = so.Architecture([so.KroneckerPattern(1, 2, 2, 3), so.KroneckerPattern(2, 3, 4, 1)])
    product = so.KroneckerProduct([rng.standard_normal(tuple(p)) for p in patterns], patterns)
    low = so.Architecture([so.KroneckerPattern(1, 3, 2, 2), so.KroneckerPattern(2, 2, 4, 1)])
    flat = so.KroneckerProduct([rng.standard_normal(tuple(p)) for p in low], low)
    turned = so.KroneckerProduct([f * (1 + 2j) for f in flat.factors], low)
    target = rng.standard_normal(6)
    return {
        "product pursuit": so.BasisPursuit(product, target),
        "product noise": so.BasisPursuit(product, target, 0.3),
        "product nothing": so.BasisPursuit(flat, target),
        "complex product nothing": so.BasisPursuit(turned, target),
        "product ball": so.ConstrainedRegression(product, target, 0.5),
        "product root": so.SquareRootLasso(product, target, 0.3),
        "product support": so.KnownSupportRegression(product, target, [0, 1, 2]),
        "product, deficient": so.KnownSupportRegression(flat, target, [0, 1, 2]),
    }


@cache
def certificates() -> dict[str, Any]:
    """Return one certificate of each kind of claim."""
    design, target, _ = pursuit_problems.planted(12, 24, 3, 0)
    noisy = target + 0.1 * np.random.default_rng(1).standard_normal(12)
    tall = np.random.default_rng(2).standard_normal((12, 4))
    csr = scipy.sparse.csr_array(np.round(design * 3))
    problems: dict[str, so.Problem] = {
        "support": so.KnownSupportRegression(design, noisy, [1, 5, 7]),
        "deficient": so.KnownSupportRegression([[1, 1, 0], [1, 1, 1]], [2, 4], [0, 1]),
        "nearly deficient": so.KnownSupportRegression(tall @ np.ones((4, 2)) / 3, noisy, [0, 1]),
        "nearly deficient, large": so.KnownSupportRegression(
            tall @ np.ones((4, 2)) * 1e140, noisy * 1e100, [0, 1]
        ),
        "fitted on a support": so.KnownSupportRegression(tall, 9.0 * tall @ np.ones(4), range(4)),
        "no rank": so.KnownSupportRegression(np.zeros((3, 2)), [1, 2, 3], [0, 1]),
        "pursuit": so.BasisPursuit(design, target),
        "sparse pursuit": so.BasisPursuit(csr, noisy),
        "noise": so.BasisPursuit(design, noisy, 0.3),
        "twice": so.BasisPursuit(np.hstack([design, design]), target),
        "norm 2": so.BasisPursuit(design, target, norm=2),
        "norm inf": so.BasisPursuit(design, target, norm=math.inf),
        "norm inf, noise": so.BasisPursuit(design, noisy, 0.3, math.inf),
        "flat": so.BasisPursuit([[3.0, -4.0]], [14.0], norm=math.inf),
        "zero": so.BasisPursuit(design, noisy, 100.0),
        "zero target": so.BasisPursuit(design, 0.0 * target),
        "nothing": so.BasisPursuit([[1, 2], [2, 4]], [1, 3]),
        "nothing tall": so.BasisPursuit(tall, noisy, 0.1),
        "ball": so.ConstrainedRegression(design, noisy, 1.0),
        "large ball": so.ConstrainedRegression(tall, noisy, 100.0),
        "root": so.SquareRootLasso(design, noisy, 0.7),
        "root fits": so.SquareRootLasso(design, target, 0.01),
        "root, large": so.SquareRootLasso(design * 1e140, noisy * 1e-100, 0.7e140),
        "root, small": so.SquareRootLasso(design * 1e-130, noisy, 0.7e-130),
        "root zero": so.SquareRootLasso(design, 0.0 * target, 1.0),
        "root of small strength": so.SquareRootLasso(tall, noisy, 1e-5),
        **complex_problems(design, target, noisy),
        **product_problems(),
    }
    return {name: so.solve(problem).certificate for name, problem in problems.items()}


def known_supports() -> dict[str, Any]:
    """Return those of known supports."""
    return {k: v for k, v in certificates().items() if type(v) is so.KnownSupportCertificate}


def solved() -> dict[str, Any]:
    """Return the others."""
    return {k: v for k, v in certificates().items() if type(v) is not so.KnownSupportCertificate}


def with_room(made: dict[str, Any]) -> Pairs:
    """Yield certificates, and the same with figures that claim less."""
    for name, certificate in made.items():
        yield name, certificate
        figures = {"primal": certificate.primal * (1 + 1e-10), "gap": certificate.gap * 2}
        if "nothing" in name:
            figures["answer_smallest_residual"] = figures["primal"]
        yield f"{name}, with room", changed(certificate, **figures, dual=certificate.dual * 0.999)
        if hasattr(certificate.answer, "unique"):
            yield f"{name}, less claimed", changed(certificate, answer_unique=False)


def forged_figures(certificates: dict[str, Any]) -> Pairs:
    """Yield certificates with figures that claim more than is so."""
    for name, made in certificates.items():
        big = abs(made.primal) + 1.0
        if made.primal > 0:
            yield f"{OBJECTIVE} | {name}, lower", changed(made, primal=made.primal * (1 - 1e-9))
        yield f"{MINIMUM} | {name}, higher", changed(made, dual=made.dual * (1 + 1e-9) + 1e-9)
        yield f"{OBJECTIVE} | {name}, nan", changed(made, primal=math.nan)
        yield f"{OBJECTIVE} | {name}, inf", changed(made, primal=math.inf)
        yield f"{MINIMUM} | {name}, nan", changed(made, dual=math.nan)
        yield f"{MINIMUM} | {name}, inf", changed(made, dual=math.inf)
        yield f"{GAP} | {name}, negative", changed(made, gap=-big)
        yield f"{GAP} | {name}, nan", changed(made, gap=math.nan)
        if made.gap > 0:
            yield f"{GAP} | {name}, zero", changed(made, gap=0.0)


def forged_shapes(certificates: dict[str, Any]) -> Pairs:
    """Yield certificates with vectors of another shape or kind."""
    for name, made in certificates.items():
        x = made.answer.x
        yield (
            f"x has one entry for each | {name}, one more",
            changed(made, answer_x=np.append(x, 0.0)),
        )
        yield f"x has one entry for each | {name}, one less", changed(made, answer_x=x[:-1])
        other = (
            so.Coefficients(x) if name in ("support", "pursuit", "nothing") else so.PursuitAnswer(x)
        )
        yield f"the answer is | {name}, another kind", changed(made, answer=other)
        yield (
            f"{KINDS} | {name}, complex x",
            changed(made, answer_x=x + 0j),
        )
        if name == "support":
            yield f"{KINDS} | a complex combination", changed(made, combination=np.eye(3) + 0j)
            yield f"{KINDS} | a complex point", changed(made, row_point=made.row_point + 0j)
        else:
            yield f"{KINDS} | {name}, complex point", changed(made, dual_point=made.dual_point + 0j)
        if name != "support":
            w = np.append(made.dual_point, 0.0)
            yield f"the dual point has | {name}, one more", changed(made, dual_point=w)
