"""The life of boxes on this laptop: which there are, what is in them, how they travel, which go."""
