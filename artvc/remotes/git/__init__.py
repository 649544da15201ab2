"""A git repository as a remote: a host's, a server's, or one on this machine."""

from artvc.remotes.address import Address, Surroundings
from artvc.remotes.git.remote import GitRemote


def connect(address: Address, surroundings: Surroundings) -> GitRemote:
    """The remote at the address of a git repository.

    Raises:
        InvalidInput: a setting that it needs is malformed.
    """
    from artvc.remotes.git import local, network  # noqa: PLC0415 -- importing artvc loads no dulwich

    if address.path is not None:
        wire = local.LocalWire(address.path, address.url, surroundings.disk)
        return local.LocalRemote(wire, surroundings.environ)
    return GitRemote(network.connect(address, surroundings), surroundings.environ)
