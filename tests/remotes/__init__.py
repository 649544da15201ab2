"""Remotes: one suite that all kinds pass, and what is particular to each."""
