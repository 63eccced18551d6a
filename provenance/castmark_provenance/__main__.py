"""``python -m castmark_provenance``."""

from castmark_provenance.cli import main

main()
