"""Scenes with known answers, for testing every stage after the networks: see scene.py and noise.py."""

from tests.synthetic.film import film, render_clip
from tests.synthetic.noise import Noise
from tests.synthetic.scene import Synthetic, make_scene

__all__ = ["Noise", "Synthetic", "film", "make_scene", "render_clip"]
