"""Sharing a repository: fetching, merging, pushing, and data that lies elsewhere until it is needed."""
