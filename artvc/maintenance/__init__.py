"""Looking after a repository: checking it, deleting what nothing needs, and packing it more tightly."""

from artvc.maintenance.checking import FsckReport, Problem, fsck
from artvc.maintenance.collecting import GRACE, Drop, GcReport, GcRequest, gc
from artvc.maintenance.repacking import LEVEL, RepackReport, RepackRequest, repack

__all__ = [
    "GRACE",
    "LEVEL",
    "Drop",
    "FsckReport",
    "GcReport",
    "GcRequest",
    "Problem",
    "RepackReport",
    "RepackRequest",
    "fsck",
    "gc",
    "repack",
]
