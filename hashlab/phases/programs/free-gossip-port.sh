#!/bin/sh
# Restart a Docker Engine that has left a Swarm and still listens for it on port 7946 (1F0A); print "restarted" if so.
#
# An engine that leaves a Swarm must tell the other members four times, once each 0.2 s, within one second. On a busy
# laptop that sometimes takes longer. Docker 20.10 then gives up ("Could not close DB: timeout waiting for leave
# broadcast") and listens until it is restarted: it joins the next Swarm, but hears of no other machine's containers.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    grep -qs ':1F0A [0-9A-F]*:0000 0A' /proc/net/tcp /proc/net/tcp6 || exit 0
    sleep 0.1
done
sudo systemctl restart docker.service && echo restarted
