"""The kit on pruning criteria: the library's own, those of a plugin, and functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.choosing import discovery
from sparseopt.choosing.discovery import registry
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu
from sparseopt.testing import check_criterion
from sparseopt.testing.awkward_networks import awkward_networks
from sparseopt.tools.pruning.criteria import CRITERIA, Scores

NAMES = [*CRITERIA, *(item.name for item in registry().criteria if item.plugin.first_party)]


@pytest.mark.parametrize("name", NAMES)
def test_the_library_keeps_its_word(name: str) -> None:
    for seed in range(3):
        check_criterion(name, seed=seed)


def test_what_is_not_invariant_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"invariant \(network dense\).*lowest scores, and"):
        check_criterion("magnitude", invariant=True)


def weights(network: so.Network) -> dict[str, np.ndarray]:
    return {n: a for n, a in network.parameters().items() if n.endswith("weight")}


def through_units(network: so.Network) -> Scores:
    """Invariant by hand for two layers: |weight in| times the weights out of its unit."""
    first, last = (np.abs(w) for w in weights(network).values())
    return {
        "0:Dense.weight": first * last.sum(axis=0)[:, None],
        "2:Dense.weight": last * first.sum(axis=1),
    }


def through_units_in_logarithms(network: so.Network) -> Scores:
    """The same but for rounding, which ties show."""
    with np.errstate(divide="ignore"):
        return {n: 1 + 0.01 * np.log10(s + 1e-300) for n, s in through_units(network).items()}


def two_layers(dead: bool) -> so.Network:
    rng = np.random.default_rng(3)
    first, last = rng.standard_normal((5, 4)), rng.standard_normal((3, 5))
    first[2] = first[1]
    last[:, 2] = last[:, 1]
    if dead:
        last[:, 0] = 0
    return chain((4,), Dense(first), Relu(), Dense(last))


def only_two_layers(function: Any) -> Any:
    """Return a criterion that knows two layers, and falls back on path costs elsewhere."""

    def scores(network: so.Network) -> Scores:
        known = list(weights(network)) == ["0:Dense.weight", "2:Dense.weight"]
        return function(network) if known else CRITERIA["path_cost"].scores(network, 0)  # type: ignore[no-any-return]

    return scores


@pytest.mark.parametrize("function", [through_units, through_units_in_logarithms])
def test_ties_and_rounding_are_no_failure(function: Any) -> None:
    networks = [two_layers(False), two_layers(True)]
    done = check_criterion(only_two_layers(function), networks, invariant=True)
    assert sum(line.startswith("invariant") for line in done.passed) == 8


def magnitude_within_layers(network: so.Network) -> Scores:
    """Not invariant, but only seen where units are unbalanced within a layer."""
    return {n: np.abs(a) / np.abs(a).sum() for n, a in weights(network).items()}


def path_cost_but_for_dead_units(network: so.Network) -> Scores:
    """Invariant where no unit is dead: weights on no path score their magnitude."""
    shares = CRITERIA["path_cost"].scores(network, 0)
    return {n: np.where(shares[n] > 0, shares[n], np.abs(a)) for n, a in weights(network).items()}


def test_a_fault_on_dead_units_alone_is_found() -> None:
    with pytest.raises(AssertionError) as caught:
        check_criterion(path_cost_but_for_dead_units, invariant=True)
    said = str(caught.value)
    assert "invariant (network dead)" in said
    assert "network dense" not in said
    assert "network unbalanced" not in said
    with pytest.raises(AssertionError, match="network unbalanced"):
        check_criterion(magnitude_within_layers, invariant=True)


def counts_calls(network: so.Network) -> Scores:
    counts_calls.calls += 1  # type: ignore[attr-defined]
    return {n: np.abs(a) + counts_calls.calls for n, a in weights(network).items()}  # type: ignore[attr-defined]


counts_calls.calls = 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda n: {}, r"scores \(network dense\).*gives no scores"),
        (lambda n: {k: a * np.nan for k, a in weights(n).items()}, "NaN"),
        (lambda n: {k: a[:1] for k, a in weights(n).items()}, "real numbers of shape"),
        (counts_calls, r"deterministic \(network tied\)"),
    ],
)
def test_other_laws(function: Any, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        check_criterion(function)


def declared(network: so.Network, seed: int) -> Scores:
    return {n: np.abs(a) for n, a in weights(network).items()}


def test_an_entry_is_held_to_what_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = so.CriterionEntry("honest", f"{__name__}:declared", "magnitude")
    boaster = so.CriterionEntry("boaster", f"{__name__}:declared", "magnitude", invariant=True)
    manifest = so.Manifest("mine", 1, "a plugin of mine", criteria=(honest, boaster))
    sources = [discovery.Source("mine", "mine-dist", lambda: manifest)]
    known = [*discovery._entry_point_sources(), *sources]
    monkeypatch.setattr(discovery, "_installed", discovery.Registry(known))
    for entry in (honest, boaster):
        for given in (entry, entry.name):
            if entry is honest:
                check_criterion(given)
            else:
                with pytest.raises(AssertionError, match="invariant"):
                    check_criterion(given)


@pytest.mark.parametrize("bad", ["no_such", 3, so.Network])
def test_what_is_no_criterion_is_refused(bad: Any) -> None:
    with pytest.raises((so.ProblemError, AssertionError)):
        check_criterion(bad)
    with pytest.raises(so.ProblemError, match="networks is a list"):
        check_criterion("magnitude", two_layers(False))  # type: ignore[arg-type]


def test_the_kits_networks_have_what_their_names_say() -> None:
    nets = awkward_networks(1)
    dead = nets["dead"].parameters()
    first, middle, last = (dead[f"{i}:Dense.weight"] for i in (0, 2, 4))
    assert (first[0] == 0).all()
    assert (middle[:, 1] == 0).all()
    assert (last[:, 3] == 0).all()
    tied = nets["tied"].parameters()["stem.weight"]
    np.testing.assert_array_equal(tied[0], tied[1])
    size = np.abs(nets["unbalanced"].parameters()["0:Dense.weight"]).max(axis=1)
    assert size.max() > 1e9 * size.min()
    x = np.random.default_rng(0).standard_normal((2, 4))
    same = so.remove_dead(nets["dead"]).run(x)
    np.testing.assert_allclose(same, nets["dead"].run(x), rtol=1e-12)


@pytest.mark.parametrize("name", ["near 1", "far from 0"])
def test_scores_that_lie_close_together_are_told_apart(name: str) -> None:
    """Magnitudes, which rescaling changes, hidden in the last digits of numbers of one size."""

    def hidden(network: so.Network) -> dict[str, np.ndarray]:
        sizes = CRITERIA["magnitude"].scores(network, 0)
        if name == "near 1":
            return {n: 1.0 - np.exp(-25.0 - np.minimum(s, 5.0)) for n, s in sizes.items()}
        return {n: 1e12 + s.ravel().argsort().argsort().reshape(s.shape) for n, s in sizes.items()}

    with pytest.raises(AssertionError, match="lowest scores"):
        check_criterion(hidden, invariant=True)
