"""Files on the laptop that builds read, and which of them may leave the lab folder."""
