"""False certificates of factorizations, each stopped by one step of the check, and true ones.

`forged` yields what must be refused and `honest` what must be accepted, as certificates or as JSON.
Problems are small, so that their truth is known in other ways.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import butterfly_borders
import numpy as np
import stored_laws
from factorization_statements import (
    DYADIC,
    MONARCH,
    SMALL,
    Forgery,
    butterflies,
    nearby,
    permutations,
    supports,
)
from forgeries_butterfly import (
    false_bounds,
    false_errors,
    false_permutations,
    false_probes,
    lost_when_scaled,
    other_answers,
)
from forgeries_supports import false_factors, false_infima, proofless_infima
from laws import law

import sparseopt as so
from sparseopt.butterfly import expansion, probing
from sparseopt.judging.figures import Figure


def honest() -> Iterator[Forgery]:
    """Yield (name, certificate) that must be accepted, as made and as read from their JSON."""
    for name, certificate in (*butterflies(), *permutations(), *supports()):
        yield name, certificate
        yield f"{name}, from JSON", so.to_json(certificate)
    yield from laws()
    yield from butterfly_borders.laws()
    yield from stored_laws.laws()
    yield from ((name, found) for holds, name, found in butterfly_borders.worth() if holds)


def laws() -> Iterator[Forgery]:
    """Yield what small certificates do not show: tails, and targets read in many pieces."""
    tails = law(
        lambda: [round(probing.deflation(64), 2), round(probing.inflation(64), 1)] == [0.25, 2.6]
    )
    yield "tails of sums of squares", tails
    rooms = law(lambda: [round(probing.allowance(n), 1) for n in (32, 64, 512)] == [12.3, 5.3, 1.7])
    yield "rooms of estimates", rooms
    yield "no figure is sure", law(lambda: probing._log_tail(0.0, 8) == -np.inf)
    outside = so.Architecture([(2, 2, 2, 2), (4, 2, 2, 1)])
    wide = so.Architecture([(1, 2, 2, 2), (2, 2, 20, 1)])
    for name, architecture in {
        "dyadic": DYADIC,
        "monarch": MONARCH,
        "outside": outside,
        "wide": wide,
    }.items():
        problem, product = nearby(architecture)
        yield f"{name} in small pieces", law(partial(in_small_pieces, problem, product))
        given = so.ButterflyFactorization(0.5 * product, architecture)
        yield f"{name} of a product, in small pieces", law(partial(in_small_pieces, given, product))


def in_small_pieces(problem: so.ButterflyFactorization, product: so.KroneckerProduct) -> bool:
    """Whether norm, error and split errors are the same when few cells are read at a time."""
    target = problem.target
    target = target.to_dense() if isinstance(target, so.KroneckerProduct) else np.asarray(target)
    right = (np.linalg.norm(target), np.linalg.norm(target - product.to_dense()))
    whole = so.ButterflyFactorization(problem.target, problem.architecture).split_errors()
    before = expansion.CHUNK
    try:
        expansion.CHUNK = 12
        again = so.ButterflyFactorization(problem.target, problem.architecture)
        found = again.compare(product)
        figures = [_middle(found.norm), _middle(found.error), *again.split_errors()]
        return bool(np.allclose(figures, [*right, *whole], rtol=1e-9, atol=1e-12))
    finally:
        expansion.CHUNK = before


def _middle(figure: Figure) -> float:
    return (figure.low(0.0) + figure.high(0.0)) / 2.0


def forged() -> Iterator[Forgery]:
    """Yield (name, certificate or JSON) that must be refused."""
    yield from false_errors()
    yield from butterfly_borders.hidden_errors()
    yield from ((name, found) for holds, name, found in butterfly_borders.worth() if not holds)
    yield from false_bounds()
    yield from other_answers()
    yield from false_probes()
    yield from lost_when_scaled()
    yield from false_permutations()
    yield from false_factors()
    yield from false_infima()
    yield from proofless_infima()
    yield from broken_files()


def broken_files() -> Iterator[Forgery]:
    """JSON whose fields are not what they should be."""
    problem, product = nearby(SMALL)
    body = json.loads(so.to_json(so.ButterflyCertificate(problem, product, bounds=True)))
    for name, change in {
        "probes negative": {"probes": -1},
        "probes true": {"probes": True, "error": 1e200},
        "probes too many": {"probes": 5000, "error": 1e200},
        "probes no integer": {"probes": 1.5},
        "probes without end": {"probes": 10**9},
        "error a word": {"error": "0"},
        "error a list": {"error": [0.0]},
        "error true": {"error": True},
        "error null": {"error": None},
        "error beyond floats": {"error": 10**400},
        "error_low a word": {"error_low": "0"},
        "splits a word": {"split_errors": ["a", "b"]},
        "splits of three": {"split_errors": [[0, 1, 2]] * 2},
        "splits a number": {"split_errors": 1.0},
        "another field": {"remark": "optimal"},
        "no problem": {"problem": None},
        "no answer": {"answer": None},
    }.items():
        yield f"file: {name}", json.dumps({**body, **change})
    yield "file: no error", json.dumps({k: v for k, v in body.items() if k != "error"})
    supported = dict(supports())["supports unknown"]
    body = json.loads(so.to_json(supported))
    for name, change in {
        "error a word": {"error": "0"},
        "lower bound a word": {"lower_bound": "0"},
        "lower bound true": {"lower_bound": True},
        "another field": {"optimal": True},
        "a proof that is none": {"closedness": 1.0},
    }.items():
        yield f"supports file: {name}", json.dumps({**body, **change})
    permuted = next(permutations())[1]
    body = json.loads(so.to_json(permuted))
    for name, change in {
        "error a word": {"error": "0"},
        "another field": {"level": 1e-3},
    }.items():
        yield f"permuted file: {name}", json.dumps({**body, **change})
