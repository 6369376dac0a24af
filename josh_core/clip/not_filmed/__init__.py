"""What no camera filmed: borders, captions, logos, small films in the picture, repeated frames, still pictures."""
