"""``python -m hashlab.observe FOLDER PROVIDER``: the stores of the lab in FOLDER."""

import os
import sys
from pathlib import Path

from hashlab.errors import HashlabError
from hashlab.observe.collecting import collect

# A long-lived process must not keep files of the run that started it open, such as locks and pipes.
os.closerange(3, os.sysconf("SC_OPEN_MAX"))
os.chdir("/")
try:
    collect(Path(sys.argv[1]), sys.argv[2])
except HashlabError as error:
    sys.exit(str(error))
