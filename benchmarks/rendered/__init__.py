"""Rendered clips with exact truth: dressed people on streets, drawn by OpenGL, made from a seed (see make.py)."""
