"""Sections of the page. Each module computes the template variables of one section from `Facts`."""
