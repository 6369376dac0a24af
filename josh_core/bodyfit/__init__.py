"""Fit the body model to each track's landmarks, in the camera, all frames at once (`fit.fit_bodies`)."""
