"""What a drawing becomes before it is judged and signed: its size, its background, its file.

Everything here happens before the check (size, background) or leaves the judged pixels as they are (file).
"""
