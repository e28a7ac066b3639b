"""The folder .hashlab: where it is, whose it is, how its files are read and written."""
