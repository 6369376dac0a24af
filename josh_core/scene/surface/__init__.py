"""The scene as it is shown: one point cloud and one textured surface from all depth maps."""
