"""Verbs, options and configuration of the command line."""
