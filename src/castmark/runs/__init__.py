"""A run folder: its journal, the runner that fills it, its summary and sheet, and how to go on from it."""
