"""Robust least squares for all rooms: norms, the Levenberg-Marquardt loop, and equations that are banded in time."""
