"""Files made from a finished Reconstruction: each states its frame, units, axes and frame rate."""
