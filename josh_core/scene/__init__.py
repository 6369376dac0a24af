"""Camera and scene from one clip: background tracks and matches, camera path, dense depth, floor."""
