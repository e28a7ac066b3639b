"""``python -m hashlab.daemon FOLDER``: the warm process of the lab in FOLDER."""

from hashlab.daemon.server import main

main()
