"""What suite ``provenance`` does to signed files: tampering, killing, fuzzing; and another's opinion."""
