#!/bin/sh
# Start a machine's Docker Engine; if it does not start, print the end of its log. With the argument
# "kill", kill it first, because a hanging engine would not stop cleanly. The new engine then stops
# the old containers cleanly.
[ "${1:-}" != kill ] || sudo systemctl kill --kill-whom=main --signal=KILL docker.service
# systemd refuses to start a unit that failed too often until its state is reset.
sudo systemctl reset-failed docker.service docker.socket 2> /dev/null
sudo systemctl start docker.socket docker.service && exit 0
sudo journalctl --unit docker --no-pager --lines 10
exit 1
