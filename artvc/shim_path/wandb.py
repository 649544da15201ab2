"""``import wandb`` in a process that was started with this directory in its path: artvc stands in.

``python -m artvc.shim`` puts the directory into the path of the processes that a script starts.
"""

import os
import sys

try:
    from artvc import shim
except ImportError:  # another Python, without artvc: what it has of W&B is meant
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    del sys.modules[__name__]
    import wandb  # noqa: F401
else:
    del sys.modules[__name__]
    shim.install()
    import wandb  # noqa: F401
