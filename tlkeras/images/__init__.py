"""Finding, checking, splitting and reading images."""
