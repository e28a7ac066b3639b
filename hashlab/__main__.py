"""``python -m hashlab``: the same as the console script."""

from hashlab.cli.main import main

main()
