"""Shows runs, states and checks to people and writes records; alone imports rich."""
