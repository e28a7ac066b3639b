"""`hashlab logs`: reads the journals of all machines, and merges them in time order.

Imports point down this list: ``reading`` (one command), ``machines`` (a thread for each machine),
``selection`` (which lines), ``gathering`` (order, lines that belong together), ``entries`` (the
journal's JSON), ``levels``.
"""
