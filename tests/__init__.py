"""One package, so that a folder of tests never hides an example's module of the same name."""
