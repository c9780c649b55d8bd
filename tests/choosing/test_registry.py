"""Discovery isolates faults; availability gives reason and remedy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from conftest import toy_entry, toy_source
from toys import Search, SquareRoot

import sparseopt as so
from sparseopt.choosing.discovery import Registry, Source
from sparseopt.choosing.manifest import ToolEntry
from sparseopt.choosing.offers import tool

Install = Callable[..., Registry]


def raising(error: BaseException) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


def test_broken_and_exiting_plugins_are_recorded_and_the_rest_works(install: Install) -> None:
    known = install(
        Source("broken", "broken-dist", raising(ImportError("no module named x"))),
        Source("exiting", "exiting-dist", raising(SystemExit(1))),
        Source("wrong", "wrong-dist", lambda: "a string"),
        toy_source(toy_entry("search")),
    )
    faults = {p.name: p.fault for p in known.plugins}
    assert "ImportError: no module named x" in faults["broken"]
    assert "SystemExit: 1" in faults["exiting"]
    assert "names a str, not a Manifest" in faults["wrong"]
    assert faults["toy"] == ""
    assert all(p.remedy for p in known.plugins if p.fault)
    assert "ImportError" in next(p.traceback for p in known.plugins if p.name == "broken")
    assert so.solve(SquareRoot(49)).answer == 7


@pytest.mark.parametrize(("api", "remedy"), [(99, "upgrade sparseopt"), (0, "upgrade toy-dist")])
def test_another_interface_version_is_said(install: Install, api: int, remedy: str) -> None:
    (plugin,) = install(toy_source(toy_entry("search"), api=api)).plugins
    assert not plugin.ok
    assert str(api) in plugin.fault
    assert plugin.remedy == remedy
    assert so.solvers() == ()


def test_a_clash_is_won_by_the_first_party(install: Install) -> None:
    known = install(
        toy_source(toy_entry("search"), plugin="other", distribution="third"),
        toy_source(toy_entry("search"), plugin="toy", distribution="sparseopt"),
    )
    assert [(p.name, p.ok) for p in known.plugins] == [("toy", True), ("other", False)]
    assert "also used by sparseopt" in known.plugins[1].fault


def test_a_clash_of_third_parties_disables_both_and_names_them(install: Install) -> None:
    known = install(
        toy_source(toy_entry("a"), plugin="same", distribution="one"),
        toy_source(toy_entry("b"), plugin="same", distribution="two"),
        toy_source(toy_entry("c"), plugin="fine", distribution="three"),
    )
    assert {p.distribution: p.ok for p in known.plugins} == {
        "one": False,
        "two": False,
        "three": True,
    }
    assert "used by two" in next(p.fault for p in known.plugins if p.distribution == "one")


def test_a_plugin_cannot_pose_as_first_party_by_its_name(install: Install) -> None:
    known = install(toy_source(toy_entry("a"), plugin="closedness", distribution="evil"))
    assert not known.plugins[0].first_party


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"requires": ("no_such_module",), "remedy": "pip install it"}, "not installed"),
        ({"device_probe": "toys:no_device"}, "no CUDA device"),
        ({"device_probe": "toys:unfit_device"}, "compute capability"),
        ({"device_probe": "toys:broken_probe"}, "driver library is missing"),
        ({"structure": {"sign": ("positive",)}}, "sign is any here; this solver takes positive"),
    ],
)
def test_unavailable_with_reason_and_remedy(
    install: Install, more: dict[str, Any], words: str
) -> None:
    install(toy_source(toy_entry("search", **more)))
    (candidate,) = so.plan(SquareRoot(4))
    assert words in str(candidate.verdict)
    if isinstance(candidate.verdict, so.Unavailable):
        assert candidate.verdict.remedy


def test_import_that_fails_keeps_the_message(install: Install) -> None:
    entry = so.SolverEntry(
        "gone", "toys:Missing", "toys:SquareRoot", so.Guarantee.EXACT, summary="toy"
    )
    install(toy_source(entry, toy_entry("fit", device_probe="toys:good_device")))
    verdicts = {c.name: str(c.verdict) for c in so.plan(SquareRoot(4))}
    assert "has no attribute 'Missing'" in verdicts["gone"]
    assert verdicts["fit"].startswith("accepted")


def test_manifest_lines_are_validated() -> None:
    with pytest.raises(ValueError, match="not of the form"):
        toy_entry("x", cls="a b").__class__("x", "nocolon", "a:b", so.Guarantee.EXACT, "s")
    with pytest.raises(ValueError, match="must give the remedy"):
        toy_entry("x", requires=("torch",))


HEAVY = ("torch", "cupy", "cvxpy", "sympy", "onnx", "sklearn", "numba", "matplotlib", "z3")


def tool_source(distribution: str, **more: Any) -> Source:
    entry = ToolEntry("Searcher", "toys:Search", "a tool", **more)
    manifest = so.Manifest("tools", 1, "toy", tools=(entry,))
    return Source("tools", distribution, lambda: manifest)


def test_tools_are_those_of_the_first_party(install: Install) -> None:
    install(tool_source("sparseopt"))
    assert tool("Searcher") is Search
    install(tool_source("somebody"))
    with pytest.raises(AttributeError, match="no attribute 'Searcher'"):
        tool("Searcher")


def test_a_tool_that_cannot_be_used_says_why_and_what_to_do(install: Install) -> None:
    install(tool_source("sparseopt", requires=("not_there",), remedy="pip install 'so[x]'"))
    words = r"sparseopt.Searcher .* not_there is not installed; remedy: pip install 'so\[x\]'"
    with pytest.raises(ImportError, match=words):
        tool("Searcher")
    with pytest.raises(ValueError, match="must give the remedy"):
        tool_source("sparseopt", requires=("not_there",))


@pytest.mark.parametrize("code", ["import sparseopt", "import sparseopt as so; so.plugins()"])
def test_importing_and_listing_load_nothing_heavy(code: str) -> None:
    check = f"{code}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
