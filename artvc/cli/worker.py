"""What a worker runs: the face of a process that takes files in for another one."""

import os

from artvc.workers import Report, Task, do_task


def run(task: Task) -> Report:
    """Do a task with the environment of this process."""
    return do_task(task, environ=os.environ)
