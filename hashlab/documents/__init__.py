"""The documents that hashlab shows: one type for each, for the screen, `--json` and the page.

docs/reference/json.md describes every field. Phases make them, the report shows them.
"""

from hashlab.documents.conversion import iso_time, json_text, to_json, unix_time

__all__ = ["iso_time", "json_text", "to_json", "unix_time"]
