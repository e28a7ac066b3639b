#!/bin/bash
# The health check of a front: it listens. Argument: a port.
exec 3<> "/dev/tcp/127.0.0.1/$1"
