"""Points of the background found and followed through the clip: features, tracks, and tracks joined again."""
