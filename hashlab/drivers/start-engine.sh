#!/bin/sh
# Start a machine's Docker Engine; if it does not start, print the end of its log. With the argument "kill" end it first:
# an engine that hangs would not stop in order. The next one stops its containers in order.
[ "${1:-}" != kill ] || sudo systemctl kill --kill-whom=main --signal=KILL docker.service
# systemd does not start a unit that failed too often, unless it forgets that.
sudo systemctl reset-failed docker.service docker.socket 2> /dev/null
sudo systemctl start docker.socket docker.service && exit 0
sudo journalctl --unit docker --no-pager --lines 10
exit 1
