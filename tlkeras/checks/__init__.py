"""Check image folders and augmentations for problems."""
