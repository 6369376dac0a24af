"""Errors of the stage outputs of a synthetic scene; standard deviations unless it says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Noise:
    """Zero everywhere (`Noise.none()`) makes every stage exact."""

    landmarks_px: float = 2.0  # px
    landmarks_m: float = 0.03  # m; 1.5 times that along the view
    matches_px: float = 0.7  # px
    match_outliers: float = 0.03  # share of correspondences that are wrong
    depth: float = 0.01  # relative, of the scene's depth, smooth over the image
    camera_degrees: float = 0.1  # of each camera's rotation
    camera_share: float = 0.003  # of the camera's travel, of each camera's place
    focal: float = 0.03  # not random: the focal that cameras and bodies assume is (1 + focal) times the true one
    body_depth: float = 0.05  # relative, along the ray: one error a person, a fifth of it anew in each frame
    body_across: float = 0.01  # m, across the ray, anew in each frame
    body_degrees: float = 3.0  # of each joint's rotation: constant and slowly changing parts alike
    betas: float = 0.3  # of each shape number
    contact_flips: float = 0.02  # share of contact labels that are inverted
    missed: float = 0.0  # share of the frames in which a person was not detected (bridged by interpolation)

    @classmethod
    def none(cls) -> Noise:
        """Exact stages."""
        return cls(**{f.name: 0.0 for f in fields(cls)})
