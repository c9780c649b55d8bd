"""The site: ``sphinx-build -W docs docs/_build`` builds it and checks its links.

The pages of the gallery show what the examples print and draw in their quick mode; with ``-t full``
each example runs as long as it needs. A script that has not changed since the last build is not run
again, even if the library has; remove ``docs/_build`` to run all.
"""

from __future__ import annotations

import sys
import tomllib
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "plugins"), str(HERE / "_ext")]

import sparseopt_gallery  # noqa: E402

PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
project = "sparseopt"
author = "The sparseopt developers"
copyright = author
version = release = PROJECT["version"]

warnings.filterwarnings("error", module="numpydoc")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx_copybutton",
    "sparseopt_pages",
    "sparseopt_docstrings",
    "sparseopt_names",
    "sparseopt_links",
    "sparseopt_notebooks",
    "sparseopt_proofs",
    "sparseopt_closedness_table",
    "sparseopt_growth",
]
exclude_patterns = ["_build", "_ext", "_templates"]
templates_path = ["_templates"]
default_role = "code"
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
autodoc_default_options = {"members": False}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = sparseopt_gallery.configuration(
    HERE,
    full=tags.has("full"),  # noqa: F821
)

# Links to other sites: ``sphinx-build -b linkcheck docs docs/_build/linkcheck`` asks each. Those
# within the site are checked by `sparseopt_links` at every build. Some publishers answer programs
# with "forbidden".
linkcheck_anchors = False
linkcheck_timeout = 20
linkcheck_retries = 3
linkcheck_workers = 2
linkcheck_report_timeouts_as_broken = False
linkcheck_exclude_documents = [r"gallery/.*", r"api/.*"]
linkcheck_allowed_redirects = {r"https://(dx\.)?doi\.org/.*": r"https://.*"}
linkcheck_ignore = [
    r"http://localhost.*",
    r"https://(www\.)?(dl\.acm\.org|epubs\.siam\.org|onlinelibrary\.wiley\.com)/.*",
]

html_theme = "pydata_sphinx_theme"
html_title = f"sparseopt {release}"
html_theme_options = {
    "show_toc_level": 2,
    "header_links_before_dropdown": 8,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_sidebars = {"index": [], "start_*": [], "survey": []}
html_show_sourcelink = False
html_copy_source = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
