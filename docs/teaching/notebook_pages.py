"""Turn executed notebooks into web pages that load nothing from elsewhere."""

import re

import nbformat
from jinja2 import DictLoader
from nbconvert import HTMLExporter

#: The page of nbconvert, without the scripts that it would load from a server. The notebooks need none of them.
_OFFLINE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}<style>body.jp-Notebook > main { max-width: 60rem; margin: 0 auto; }</style>{% endblock %}
"""


def notebook_page(path):
    """Render an executed notebook as one HTML page, with links to the other pages in place of notebooks.

    Args:
        path: Notebook file with its outputs.

    Returns:
        The HTML.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata["transient"] = {"remove_source": True}
        if cell.cell_type == "markdown":
            cell.source = _relinked(cell.source)
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"offline.html.j2": _OFFLINE})],
        template_file="offline.html.j2",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    return exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})[0]


def _relinked(markdown):
    """Let links lead to the pages of the kit: from `notebooks/read/` to `html/`."""
    text = re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.html)", markdown)
    text = text.replace("](../README.md)", "](../index.html)")
    return re.sub(r"\]\(\.\./(?!index\.html\))", "](../notebooks/", text)
