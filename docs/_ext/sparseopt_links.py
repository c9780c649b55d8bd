"""Checks every link within the built site: the page and the place on it must exist."""

from __future__ import annotations

from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.places.add(value or "")
            elif name in ("href", "src") and value:
                self.links.append(value)


def read(page: Path) -> _Links:
    """Return the places and links of a page."""
    links = _Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def broken(site: Path, built: Iterable[Path]) -> list[str]:
    """Return the links of these pages of a site that lead nowhere in it."""
    pages = {page: read(page) for page in sorted(built)}
    faults = []
    for page, found in pages.items():
        for link in found.links:
            url = urlsplit(link)
            if url.scheme or url.netloc or link == "#":
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            if target.is_dir():
                target /= "index.html"
            here = page.relative_to(site)
            if not target.exists() or (target.suffix == ".html" and target not in pages):
                faults.append(f"{here}: {link} leads to no file")
            elif url.fragment and target in pages:
                places = pages[target].places
                if unquote(url.fragment) not in places:
                    faults.append(f"{here}: {link} leads to no place on its page")
    return faults


def _check(app: Any, exception: Exception | None) -> None:
    from sphinx.util import logging

    if exception is None and app.builder.format == "html":
        site = Path(app.outdir).resolve()
        names = [*app.env.found_docs, "genindex", "search"]  # what else lies there is of old builds
        faults = broken(site, [site / f"{name}.html" for name in names])
        for fault in faults:
            logging.getLogger(__name__).warning(fault)
        if faults:
            raise SystemExit(f"{len(faults)} broken links")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True}
