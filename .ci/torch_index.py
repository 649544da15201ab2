"""Prints the pip option for torch's CPU builds where they are wanted: Linux, no NVIDIA GPU, and the index answers.

PyPI's torch for Linux brings several GB of CUDA.  pip can't choose by machine, and an index that can't be reached
costs it 8 seconds for each package, so the README's lines ask here: ``pip install $(python3 .ci/torch_index.py) ...``.
"""

import os
import sys
import urllib.request

INDEX = "https://download.pytorch.org/whl/cpu"
NVIDIA = ("/dev/nvidia0", "/proc/driver/nvidia/version", "/dev/dxg")  # the last: Windows' GPU, seen from WSL
SECONDS = 5


def answers() -> bool:
    """Whether the index has a page for torch, from here and now."""
    request = urllib.request.Request(f"{INDEX}/torch/", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            return reply.status == 200
    except (OSError, ValueError):  # URLError and timeouts are OSErrors; a malformed proxy is a ValueError
        return False


if __name__ == "__main__" and sys.platform == "linux" and not any(map(os.path.exists, NVIDIA)) and answers():
    print(f"--extra-index-url={INDEX}")
