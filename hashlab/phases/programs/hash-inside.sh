#!/bin/sh
# Print the SHA-256 of files that containers see, whose paths are the input. One that is gone stays unknown.
xargs -0 -r sha256sum -z -- 2> /dev/null
exit 0
