"""The report of a run: a web page and a model card, rendered from plain data."""
