"""People and place as 3D files: glTF and USD of everything, the points alone as PLY and as Gaussian splats."""
