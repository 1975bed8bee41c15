"""Sections of the page. Each module computes the template variables of one or two sections from `Facts`."""
