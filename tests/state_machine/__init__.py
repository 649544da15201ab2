"""Random walks through the commands against a plain model."""
