"""A git repository as a remote: a host's, a server's, or one on this machine."""
