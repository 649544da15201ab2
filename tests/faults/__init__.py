"""Fault injection: every operation of ``artvc.store.fsio.Disk`` is a point at which a test kills, fails or forgets.

``python -m tests.faults --help`` runs the long variants; ``ARTVC_FAULTS=full`` makes pytest run them.
"""
