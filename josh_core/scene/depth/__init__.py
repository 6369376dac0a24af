"""Depth maps of the keyframes: sparse from the camera's points, dense from optical flow."""
