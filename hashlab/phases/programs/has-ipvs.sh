#!/bin/sh
# Succeed if the kernel has IPVS, with which a Swarm gives services virtual addresses.
test -e /proc/net/ip_vs || sudo modprobe ip_vs 2>/dev/null
