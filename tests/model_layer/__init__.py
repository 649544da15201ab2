"""Tests of the model: pure values, their bytes and the structures over them."""
