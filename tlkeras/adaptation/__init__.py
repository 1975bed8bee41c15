"""Adaptation: use a model where images differ from those it learned from, and where labels are few."""
