"""``python -m castmark.cli``."""

from castmark.cli.commands import main

if __name__ == "__main__":
    main()
