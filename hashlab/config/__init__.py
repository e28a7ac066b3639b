"""Read hashlab.toml and compose.yaml into frozen values: find_lab_folder, load_lab and Lab."""

from hashlab.config.hashlab_toml import AUTO
from hashlab.config.load import find_lab_folder, load_lab
from hashlab.config.model import Lab

__all__ = ["AUTO", "Lab", "find_lab_folder", "load_lab"]
