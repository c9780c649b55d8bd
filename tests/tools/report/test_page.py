"""The HTML page of a report: what stands where, that it is sound HTML, and that it fits a phone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Dense, Relu, chain
from sparseopt.tools.report.html import render
from sparseopt.tools.report.tables import MOST_ROWS, shown

CNN = Path(__file__).parents[3] / "examples" / "networks" / "digits_cnn.onnx"
VOID = {"meta", "br", "hr", "img", "link", "input"}
PHONE = 390 - 2 * 10 - 2 * 12  # pixels of a telephone, without margins of page and article


class Page(HTMLParser):
    """Reads a page, and refuses elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.stack = text, ["page"]
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.images: list[dict[str, str | None]] = []
        self.feed(text)
        assert self.stack == ["page"]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        if tag not in VOID:
            self.stack.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        for name in ("href", "xlink:href"):
            if given.get(name, "").startswith("#"):
                self.links.append(given[name][1:])
        if tag == "svg":
            self.images.append(given)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


@pytest.fixture(scope="module")
def report() -> so.Report:
    return so.analyze(CNN)


@pytest.fixture(scope="module")
def page(report: so.Report) -> Page:
    return Page(render(report))


def supports() -> so.Report:
    lower = np.tri(12, dtype=int)
    return so.analyze(so.Closedness([lower, lower.T]))


def test_the_page_is_sound_and_loads_nothing(page: Page) -> None:
    assert max(Counter(page.ids).values()) == 1
    used = {*page.links, *re.findall(r"url\(#([^)]+)\)", page.text)}
    assert used <= set(page.ids)
    assert "http" not in re.sub(r"http://www.w3.org/[\w/.-]*", "", page.text)
    assert page.tags["script"] == 0


def test_every_figure_says_in_words_what_it_shows(page: Page, report: so.Report) -> None:
    drawn = [finding for finding in report if finding.figure is not None]
    assert len(page.images) == len(drawn) == page.tags["figcaption"]
    assert all(image["role"] == "img" for image in page.images)
    labels = [str(image["aria-label"]) for image in page.images]
    assert len(set(labels)) == len(labels)
    assert any("marked: /8/Gemm and /10/Gemm" in label for label in labels)
    assert any("8 entries outlined" in label or "entries outlined" in label for label in labels)
    assert any("largest neuron: from " in label for label in labels)


def test_key_figures_stand_on_top_beside_what_they_compare_with(page: Page) -> None:
    top = page.text[: page.text.index("<h2>")]
    words = re.sub(r"<[^>]+>", "|", top)
    assert "nonzero weights||1834||weights in all: 9168 (ratio 0.2)" in words
    assert "L1 path-norm||61281.8||same layers at initialization: " in words
    assert "paths with nonzero weight||6563992||if none were zero: 579502410" in words
    assert "at most||57704.7||largest slope measured: 275.184" in words


def test_values_are_tables_and_layers_can_be_opened(page: Page) -> None:
    assert not re.search(r"\{&#x27;|\[&#x27;|array\(", page.text)
    layers = re.findall(r'<details class="layer (\w+)"( open)?><summary>(.*?) <span', page.text)
    assert layers == [("warning", "", "/8/Gemm"), ("warning", "", "/8/Gemm -&gt; /10/Gemm")]
    assert '<th scope="col">ratio</th>' in page.text
    first, _, rest = page.text.partition("<h2>The network</h2>")
    assert rest.index("<svg") < rest.index("<h2>Overview</h2>") < rest.index("<h2>Findings</h2>")
    assert "<svg" not in first


def test_the_page_follows_the_colours_of_day_and_night(page: Page) -> None:
    assert "prefers-color-scheme: dark" in page.text
    drawings = "".join(re.findall(r"<svg.*?</svg>", page.text, re.DOTALL))
    assert "currentColor" in drawings
    # Nothing is drawn in the colour that a figure has on white paper, or that marks text.
    assert not re.search(r"(fill|stroke): #(000000|ffffff|010203)", drawings)


@pytest.mark.parametrize("make", [lambda: so.analyze(CNN), supports])
def test_labels_can_be_read_on_a_telephone(make: Callable[[], so.Report]) -> None:
    text = render(make())
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert drawings
    for drawing in drawings:
        width = float(re.findall(r'viewBox="0 0 ([\d.]+) ', drawing)[0])
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", drawing)]
        assert sizes
        assert min(sizes) * PHONE / width >= 7.9
    for width in re.findall(r"[{ ;]width: ([\d.]+)(px|rem)", text):
        raise AssertionError(f"a width that does not bend: {width}")


def test_the_title_names_the_file_without_the_folders_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    file = folder / "lu.json"
    file.write_text("[[[1, 0], [1, 1]], [[1, 1], [0, 1]]]")
    elsewhere = so.analyze(file)
    assert elsewhere.subject.startswith("lu.json: closedness")
    monkeypatch.chdir(tmp_path)
    within = so.analyze(file)
    assert within.subject.startswith("inner/lu.json: ")
    assert so.analyze("inner/../inner/lu.json").subject.startswith("inner/../inner/lu.json: ")
    text = render(within)
    assert "<title>inner/lu.json - sparseopt</title>" in text
    assert str(tmp_path) not in text


def test_a_hostile_report_stays_words() -> None:
    bad = "<img src=x onerror=alert(1)>\"'&\x1b[2K"
    figures = [
        so.SeriesFigure(bad, bad, bad, [bad, bad], {bad: [1.0, float("nan")]}),
        so.SupportFigure(bad, {bad: np.eye(3, dtype=bool)}, {bad: [(0, 0)]}),
        so.NetworkFigure(bad, [bad], [bad], [bad], [3], [0.5], [], []),
    ]
    findings = [
        so.Finding(
            bad,
            so.Severity.PROBLEM,
            bad,
            bad,
            {bad: [{bad: bad}], "b": [1, [bad]]},
            bad,
            figure=figure,
            key_figures=[so.KeyFigure(bad, bad, bad, bad)],
        )
        for figure in figures
    ]
    page = Page(render(so.Report(bad, tuple(findings), (), 0.0)))
    assert page.tags["img"] == 0
    assert "\x1b" not in page.text
    assert max(Counter(page.ids).values()) == 1


def test_a_report_of_nothing_has_a_page() -> None:
    page = Page(render(so.Report("nothing", ())))
    assert "no findings" in page.text


def test_a_report_of_today_can_be_rendered_from_its_file(report: so.Report) -> None:
    again = so.Report.from_json(report.to_json())
    assert [f.key_figures for f in again] == [f.key_figures for f in report]
    text = render(again)
    assert "same layers at initialization" in text
    without_keys = report.to_json().replace("key_figures", "old_name")
    with pytest.raises(so.ProblemError, match="has no fields"):
        so.Report.from_json(without_keys)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1, 2, 3], "b": [4, 5, 6.5]}, ["<th scope", "6.5"]),
        ({"a": 1, "deep": {"x": {"y": {"z": {"w": {"v": 1}}}}}}, ["..."]),
        ([{"name": "n", "shape": [3, 4]}], ["3 x 4"]),
        (np.arange(200), [f"{200 - MOST_ROWS} more rows"]),
        ([], ["none"]),
        (None, []),
        (3.0, ["3"]),
        ("not_closed", ["not closed"]),
        ({"a": np.float32(0.5), "b": True, "c": (1, 2)}, ["0.5", "yes", "1 x 2"]),
        ([[1, 2], [3, 4]], ["3 x 4"]),
    ],
)
def test_any_value_is_shown(value: Any, words: list[str]) -> None:
    text = shown(value)
    for word in words:
        assert word in text
    assert "{" not in text


def test_without_matplotlib_the_remedy_is_named(
    report: so.Report, without: Callable[[str], None]
) -> None:
    without("matplotlib")
    page = Page(render(report))
    assert "pip install 'sparseopt[plot]'" in page.text.replace("&#x27;", "'")
    assert page.images == []


def test_an_exact_network_is_compared_with_nothing_made_up() -> None:
    first, last = np.array([[2], [3]], dtype=object), np.array([[1, 1]], dtype=object)
    found = so.analyze(chain((1,), Dense(first), Relu(), Dense(last)))
    (norm,), (paths,) = found["path-norm"], found["path-count"]
    assert (norm.key_figures[0].value, norm.key_figures[0].beside) == (5.0, "")
    assert (paths.key_figures[0].value, paths.key_figures[0].other) == (2, 2)
    assert found["analyzer-failed"] == []


def test_names_of_layers_are_no_formulas() -> None:
    figure = so.SeriesFigure("t", "x", "y", ["$\\frac{$", "層 1"], {"$n$": [1.0, 2.0]})
    text = render(so.Report("x", (so.Finding("r", so.Severity.OK, "w", "m", figure=figure),)))
    assert "$\\frac{$" in text
    assert "層 1" in text
