"""What facets settle, and must not, of networks with skips and shared weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from facets_of_skips import added, added_twice, beside_one_of_its_entry, met_twice

import sparseopt as so

Build = Callable[[], so.FacetCertificate]


@pytest.mark.parametrize("build", [partial(added, (0,), (1,)), partial(added_twice, (8, 5, 6))])
def test_units_that_are_added_to_what_they_read_are_settled(build: Build) -> None:
    assert so.verify(build()).ok


@pytest.mark.parametrize(
    "build",
    [
        met_twice,
        beside_one_of_its_entry,
        partial(added_twice, (8, 5)),
        partial(added_twice, (8, 5), (6,)),
        partial(added, (0,), (1,), cells=(1,)),
        partial(added, (0,), (1,), cells=(0,)),
    ],
)
def test_what_is_not_settled_is_refused(build: Build) -> None:
    check = so.verify(build())
    assert not check.ok
    assert "FAILED" in check.details[-1]
