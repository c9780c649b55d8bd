"""What is installed is what the project file says."""

from __future__ import annotations

import datetime
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

import sparseopt as so
from sparseopt.choosing.discovery import GROUP, registry

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_installed_entry_points_are_those_of_the_project_file() -> None:
    declared = PROJECT["project"]["entry-points"][GROUP]
    installed = {
        point.name: point.value
        for point in importlib.metadata.entry_points(group=GROUP)
        if point.dist is not None and point.dist.name == "sparseopt"
    }
    assert installed == declared, "reinstall: pip install -e ."


def test_every_package_is_typed_and_in_the_wheel() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for package in packages:
        assert (ROOT / package / "py.typed").exists(), package
    found = {f"plugins/{path.name}" for path in (ROOT / "plugins").iterdir() if path.is_dir()}
    assert {p for p in packages if p.startswith("plugins/")} == found


def test_all_first_party_plugins_work() -> None:
    own = [plugin for plugin in so.plugins() if plugin.first_party]
    assert {plugin.name: plugin.fault for plugin in own} == {plugin.name: "" for plugin in own}
    assert all(plugin.manifest is not None and plugin.manifest.summary for plugin in own)


def test_plugins_never_import_each_other_and_the_core_imports_none() -> None:
    for path in [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "sparseopt").rglob("*.py")]:
        own = path.relative_to(ROOT).parts[1] if path.is_relative_to(ROOT / "plugins") else None
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and words[1].startswith("sparseopt_"):
                assert words[1].split(".")[0] == own, f"{path}: {line}"


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("convex", {"inverse"}),
        ("kronecker", {"butterfly"}),
        ("pathlifting", {"onnx", "pathnorm", "torch"}),
    ],
)
def test_former_names_of_plugins_hold(
    former: str, now: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(registry().current_names([former])) == now
    extras = PROJECT["project"]["optional-dependencies"]
    (extra,) = extras[former]
    assert set(extra.removeprefix("sparseopt[").removesuffix("]").split(",")) == now
    monkeypatch.setenv("SPARSEOPT_BLOCK", former)
    problem = so.SparseRegression([[1.0]], [1.0], so.L1(0.5))
    refused = "block list" in str(so.plan(problem))
    assert refused == (former == "convex")
    assert so.plan(problem, prefer=[former]) is not None


DISTRIBUTIONS = {"sklearn": "scikit-learn", "z3": "z3-solver", "cupy": "cupy-cuda13x"}
"""Where a module and what is installed for it have two names."""


def brought_by(extra: str) -> set[str]:
    """Return what is installed with an extra, further extras included."""
    found: set[str] = set()
    for requirement in PROJECT["project"]["optional-dependencies"][extra]:
        inner = re.fullmatch(r"sparseopt\[(.*)\]", requirement)
        for name in inner[1].split(",") if inner else ():
            found |= brought_by(name)
        found.add(re.split(r"[\[<>=]", requirement)[0])
    return found


def test_remedies_install_what_is_missing() -> None:
    known = registry()
    offered = (
        *known.solvers,
        *known.analyzers,
        *known.readers,
        *known.tools,
        *known.criteria,
        *known.engines,
        *known.outsiders,
    )
    asked = 0
    for item in offered:
        needed = {DISTRIBUTIONS.get(m.split(".")[0], m.split(".")[0]) for m in item.entry.requires}
        extras = re.findall(r"sparseopt\[(\w+)\]", item.entry.remedy)
        got = set().union(*map(brought_by, extras))
        assert needed <= got, f"{item.name} needs {needed}, its remedy brings {got}"
        asked += bool(needed)
    assert asked > 10


def test_every_extra_that_the_code_names_is_one() -> None:
    known = PROJECT["project"]["optional-dependencies"]
    files = [p for folder in ("sparseopt", "plugins", "docs") for p in (ROOT / folder).rglob("*.*")]
    named: dict[str, Path] = {}
    for path in [*files, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        if path.suffix in (".py", ".md") and "_build" not in path.parts:
            text = path.read_text(encoding="utf-8")
            for extras in re.findall(r"(?:sparseopt|\.)\[([\w,]+)\]['\")]", text):
                named |= dict.fromkeys(extras.split(","), path)
    assert set(named) >= {"all", "plot", "notebook", "docs"}
    assert {name: path for name, path in named.items() if name not in known} == {}


def test_the_version_is_written_once_and_told_everywhere() -> None:
    version = PROJECT["project"]["version"]
    assert so.__version__ == version, "reinstall: pip install -e ."
    assert "__version__" in dir(so)
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {version}" in citation
    assert f"license: {PROJECT['project']['license']}" in citation


def test_the_changelog_and_the_citation_agree_on_the_newest_release() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    unreleased, *releases = re.findall(r"^## (.*)", changelog, re.MULTILINE)
    assert unreleased == "[Unreleased]"
    form = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", each) for each in releases]
    assert all(form), releases
    found = [(each[1], datetime.date.fromisoformat(each[2])) for each in form if each]
    assert found[0][0] == PROJECT["project"]["version"]
    assert f"date-released: {found[0][1]}" in citation
    assert [day for _, day in found] == sorted((day for _, day in found), reverse=True)
    links = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", changelog, re.MULTILINE))
    assert list(links) == ["Unreleased", *(version for version, _ in found)]
    assert f"compare/v{found[0][0]}...HEAD" in links["Unreleased"]
    assert all(f"v{version}" in links[version] for version, _ in found)
    kinds = set(re.findall(r"^### (.*)", changelog, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_citation_names_the_papers() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for paper in ("hal-04954574", "2306.02666", "2411.04506", "2310.01225", "2405.15006"):
        assert paper in citation


def test_every_kind_of_file_that_is_read_is_in_the_security_page() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    suffixes = {s for reader in registry().readers for s in reader.entry.suffixes}
    assert suffixes
    for suffix in suffixes:
        assert f"`{suffix}`" in page


def test_every_documentation_tool_is_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for requirement in PROJECT["project"]["optional-dependencies"]["docs"]:
        name = requirement.partition(">=")[0]
        assert name == "sparseopt[all]" or f"\n{name}==" in pins
