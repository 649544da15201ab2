"""The shell: parses, calls the library, renders what it returns.  The only part that knows click."""
