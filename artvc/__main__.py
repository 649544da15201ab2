"""``python -m artvc`` is the ``artvc`` command."""

from artvc.cli.main import main

if __name__ == "__main__":
    main()
