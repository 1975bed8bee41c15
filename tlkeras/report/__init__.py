"""Reports: the page and the model card of a run, rendered from plain data."""
