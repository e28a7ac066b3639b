"""What builds read on the laptop: which files, which of them may leave the lab folder."""
