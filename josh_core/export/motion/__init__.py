"""One person's motion alone, for animation and biomechanics tools: BVH, TRC, SMPL parameters, joint names."""
