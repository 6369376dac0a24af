"""The file before it is frames: probe it, find its shots, decode the part that is used."""
