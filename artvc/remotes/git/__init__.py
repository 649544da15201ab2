"""A git repository as a remote: a host's, a server's, or one on this machine."""

from artvc.remotes.address import Address, Surroundings
from artvc.remotes.git.remote import GitRemote


def connect(address: Address, surroundings: Surroundings) -> GitRemote:
    """The remote at the address of a git repository.

    Raises:
        InvalidInput: a setting that it needs is malformed.
    """
    from artvc.remotes.git import network  # noqa: PLC0415 -- each loads what only it needs

    return GitRemote(network.connect(address, surroundings), surroundings.environ)
