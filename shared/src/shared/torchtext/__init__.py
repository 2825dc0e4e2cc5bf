"""The bridge to torchtext 0.6.0."""
