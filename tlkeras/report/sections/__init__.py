"""Sections of the page: each turns facts into what a template shows."""
