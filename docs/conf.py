"""
How Sphinx builds the documentation:

    python -m pip install '.[docs]'
    python -m sphinx -W --keep-going -n docs BUILD

Nothing is fetched from anywhere.
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from externals import writeInventory  # noqa: E402

project = "txsslstream"
author = "the txsslstream contributors"
copyright = author
html_title = "txsslstream"

extensions = [
    "myst_parser",
    "sphinx.ext.intersphinx",
    "pydoctor.sphinx_ext.build_apidocs",
    "apilinks",
    "statediagrams",
]
exclude_patterns = ["examples"]
nitpicky = True

# Links between pages are plain Markdown, which code hosts follow as well.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}

# What docstrings name and is not ours: its documentation is linked to, not asked.
_inventory = writeInventory(Path(mkdtemp(prefix="txsslstream-docs-")))
intersphinx_mapping: dict[str, tuple[str, str]] = {}
pydoctor_url_path = "api/"
pydoctor_args = [
    f"--project-name={project}",
    "--project-url=../index.html",
    "--docformat=epytext",
    f"--project-base-dir={HERE.parent}",
    f"--intersphinx-file={_inventory}",
    "--html-output={outdir}/api",
    str(HERE.parent / "txsslstream"),
]
