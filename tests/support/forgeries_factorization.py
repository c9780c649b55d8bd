"""False certificates of factorizations, each stopped by one step of the check, and true ones.

`forged` yields what must be refused and `honest` what must be accepted, as certificates or as JSON.
Problems are small, so that their truth is known in other ways.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from factorization_statements import SMALL, Forgery, butterflies, nearby, permutations, supports
from forgeries_butterfly import (
    false_bounds,
    false_errors,
    false_permutations,
    false_probes,
    other_answers,
)
from forgeries_supports import false_factors, false_infima

import sparseopt as so


def honest() -> Iterator[Forgery]:
    """Yield (name, certificate) that must be accepted, as made and as read from their JSON."""
    for name, certificate in (*butterflies(), *permutations(), *supports()):
        yield name, certificate
        yield f"{name}, from JSON", so.to_json(certificate)


def forged() -> Iterator[Forgery]:
    """Yield (name, certificate or JSON) that must be refused."""
    yield from false_errors()
    yield from false_bounds()
    yield from other_answers()
    yield from false_probes()
    yield from false_permutations()
    yield from false_factors()
    yield from false_infima()
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
