"""Predictions over HTTP, on this computer: a page for people and a JSON endpoint for programs."""
