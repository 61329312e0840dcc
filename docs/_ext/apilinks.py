"""
Public names in code font are links to the API, so that pages need not say so.
"""

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

import txsslstream


def linkNames(app: Sphinx, doctree: nodes.document) -> None:
    """
    Make links of the names on a page.
    """
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().partition("(")[0]
        first = name.partition(".")[0]
        if first not in txsslstream.__all__ or isinstance(
            literal.parent, (nodes.reference, nodes.title, pending_xref)
        ):
            continue
        link = pending_xref(
            refdomain="py",
            reftype="obj",
            reftarget=f"txsslstream.{first}",
            refexplicit=True,
            refwarn=True,
            refdoc=app.env.docname,
        )
        literal.replace_self(link)
        link += literal


def setup(app: Sphinx) -> dict[str, bool]:
    """
    Have Sphinx do it.
    """
    app.connect("doctree-read", linkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
