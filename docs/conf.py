"""How `inv docs` builds the site: Sphinx, MyST for Markdown, the theme Furo."""

from __future__ import annotations

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import hashlab

project = "hashlab"
copyright = "the hashlab contributors"
release = version = hashlab.__version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"hashlab {version}"
html_show_sphinx = False
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Show the diagrams of architecture.md as text: drawing them would need a script."""
    app.add_lexer("mermaid", TextLexer)
