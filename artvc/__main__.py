"""``python -m artvc`` is the ``artvc`` command."""

from artvc.cli.main import command

if __name__ == "__main__":
    command()
