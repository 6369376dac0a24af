"""The one metric world: which way is up, how large the scene is, where the floor is, and who stands where in it."""
