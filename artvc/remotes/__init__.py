"""Where repositories are shared: git hosts, buckets and directories, behind one protocol."""
