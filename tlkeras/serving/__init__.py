"""Predictions over HTTP on this computer: a web page for people and a JSON endpoint for programs."""
