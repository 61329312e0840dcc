"""
The directive C{states}: a table of L{txsslstream.states} as a diagram.
"""

from typing import Any, ClassVar

from diagrams import svgOf
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from txsslstream import states


class StatesDirective(SphinxDirective):
    """
    Draws the table that it names.
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        caption = self.options["caption"]
        self.env.note_dependency(states.__file__)
        drawing = svgOf(getattr(states, self.arguments[0]), caption)
        figure = nodes.figure("", nodes.raw("", drawing, format="html"))
        figure += nodes.caption(caption, caption)
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    """
    Have Sphinx know it.
    """
    app.add_directive("states", StatesDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
