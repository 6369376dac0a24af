"""4D human-scene reconstruction: a clip of people in, camera, bodies and scene in one metric world out."""

__version__ = "0.1.0"
