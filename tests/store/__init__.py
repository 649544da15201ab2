"""Tests of the store: files below ``.artvc``."""
