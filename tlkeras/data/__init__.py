"""Labeled images: from files to splits and batches."""
