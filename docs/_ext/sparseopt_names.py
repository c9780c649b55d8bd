"""Public names in the text, such as ``so.solve`` or ``Closedness(...)``, lead to their pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sparseopt_pages import name_of, public_names
from sphinx.addnodes import pending_xref


def _link(app: Any, doctree: nodes.document) -> None:
    stub = Path(app.srcdir).parent / "sparseopt" / "__init__.pyi"
    known = {name for names in public_names(stub).values() for name in names}
    docname = app.env.current_document.docname
    if docname.startswith("api/"):
        return
    for literal in list(doctree.findall(nodes.literal)):
        name = name_of(literal.astext(), known)
        if name is None or isinstance(literal.parent, nodes.reference | pending_xref):
            continue
        target = f"sparseopt.{name}"
        link = pending_xref("", refdomain="py", reftype="obj", reftarget=target, refexplicit=True)
        link["refdoc"] = docname
        literal.replace_self(link)
        link += literal


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", _link)
    return {"parallel_read_safe": True}
