"""Pure values: ids, names, objects, their bytes and the Merkle structures over them.  No I/O, no clock."""
