"""Scenes with known answers, for testing every stage after the networks: see scene.py and noise.py."""

from tests.synthetic.noise import Noise
from tests.synthetic.render import rendered_clip, write_video
from tests.synthetic.scene import Synthetic, make_scene

__all__ = ["Noise", "Synthetic", "make_scene", "rendered_clip", "write_video"]
