"""A shot's way to a signed image: drawn, checked, signed. `castmark.studio.studio` is where it starts."""
