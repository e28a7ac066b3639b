"""The command line: parses it, asks the lab's background process, else runs the command here."""
