"""The W&B-shaped API: the face of artvc for programs.

``current`` holds the process's run; a ``run`` records what happens in it; an ``artifact`` is a draft until it is
logged; ``workspace`` finds and opens the repository for both.  Only this package and the command line read the
environment and the clock.
"""
