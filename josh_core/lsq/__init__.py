"""Robust least squares, used by scene/, bodyfit/ and joint/: norms, Levenberg-Marquardt, block-banded solver."""
