#!/bin/sh
# Prints what this machine and the containers of a lab use, again and again until its input ends.
# Arguments: the lab's id; seconds between two samples, 0 for one sample. Runs as root.
# A sample is: "#sample CPUS", "#disk BLOCK-SIZE BLOCKS AVAILABLE" of the engine's data, "#engine CODE", a line "#container"
# for each container with the fields of the template below, separated by tabs; "#intercepted SERVICE"; then lines of files, each as its path, NUL
# and the text; then "#end". Control groups are those of version 1 or 2, whichever the machine has.
set -eu
lab=$1 seconds=$2
tab=$(printf '\t')
groups=/sys/fs/cgroup
# Prints nothing for containers that are not replicas of the lab's services, such as sandboxes.
# shellcheck disable=SC2016 # $c is a variable of the template
{
    template='{{$c := .}}{{with .Config.Labels}}{{if and (eq (index . "hashlab.lab") "LAB") (index . "hashlab.service")}}'
    template="$template#container$tab"'{{index . "hashlab.service"}}'"$tab"'{{index . "hashlab.build"}}'"$tab"
    template="$template"'{{index . "hashlab.one-off"}}'"$tab"'{{$c.Name}}'"$tab"'{{$c.State.Status}}'"$tab"'{{$c.State.ExitCode}}'"$tab"
    template="$template"'{{with $c.State.Health}}{{.Status}}{{end}}'"$tab"'{{$c.RestartCount}}'"$tab"
    template="$template"'{{$c.State.StartedAt}}'"$tab"'{{$c.HostConfig.NetworkMode}}'"$tab"'{{$c.State.Pid}}{{end}}{{end}}'
    template="${template%%LAB*}$lab${template#*LAB}"
}

# The numbers of this machine. A container's own control group has files that the root of the laptop's groups lacks, and
# the other way round; of a whole computer the kernel's own files tell more.
machine="/proc/uptime /proc/meminfo /proc/net/dev"
if [ -e "$groups/memory.current" ]; then
    machine="$machine $groups/cpu.stat $groups/memory.current $groups/memory.max $groups/memory.stat $groups/io.stat"
elif [ -d "$groups/memory" ] && ! [ -e "$groups/memory/release_agent" ]; then
    machine="$machine $groups/cpuacct/cpuacct.usage $groups/memory/memory.usage_in_bytes"
    machine="$machine $groups/memory/memory.limit_in_bytes $groups/memory/memory.stat"
    machine="$machine $groups/blkio/blkio.throttle.io_service_bytes_recursive"
else
    machine="$machine /proc/stat /proc/diskstats"
fi
cpus=$(nproc)
limit=
if [ -e "$groups/cpu.max" ]; then
    read -r quota period < "$groups/cpu.max"
    limit="$quota/$period"
elif [ -e "$groups/cpu/cpu.cfs_quota_us" ]; then
    read -r quota < "$groups/cpu/cpu.cfs_quota_us"
    read -r period < "$groups/cpu/cpu.cfs_period_us"
    limit="$quota/$period"
fi
root=$(timeout 5 docker info --format '{{.DockerRootDir}}' 2> /dev/null) || root=
[ -d "$root/containers" ] || root=/var/lib/docker
# The lines that are used, of all of these files.
wanted='^[0-9]+$|^max$|^(total_)?inactive_file |^usage_usec |^[0-9]+:|^[0-9]+\.[0-9]+ |^Mem(Total|Available): '
wanted="$wanted|^cpu |^ *[^ :]+: *[0-9]+ +[0-9]+ +[0-9]|^ +[0-9]+ +[0-9]+ [a-z]"

# Add the files of the control group of process $1 to $files.
add_group() {
    while IFS=: read -r _ controllers path; do
        case ",$controllers," in
            ,,)
                files="$files $groups$path/cpu.stat $groups$path/io.stat $groups$path/memory.current"
                files="$files $groups$path/memory.max $groups$path/memory.stat"
                ;;
            *,memory,*)
                files="$files $groups/memory$path/memory.usage_in_bytes $groups/memory$path/memory.stat"
                files="$files $groups/memory$path/memory.limit_in_bytes"
                ;;
            *,cpuacct,*) files="$files $groups/cpuacct$path/cpuacct.usage" ;;
            *,blkio,*) files="$files $groups/blkio$path/blkio.throttle.io_service_bytes" ;;
        esac
    done < "/proc/$1/cgroup"
}

sample() {
    echo "#sample $cpus $limit"
    stat --file-system --format='#disk %S %b %a' "$root"
    cd "$root/containers"
    code=0 states=
    if [ "$(echo ./*)" != './*' ]; then
        # A container that is removed meanwhile is missing, which is no failure.
        states=$(timeout 5 docker inspect --type container --format "$template" -- * 2> /dev/null) || code=$?
        [ -z "$states" ] || code=0
    fi
    cd /
    echo "#engine $code"
    files=$machine
    while IFS= read -r state; do
        [ -n "$state" ] || continue
        printf '%s\n' "$state"
        pid=${state##*"$tab"}
        if [ "$pid" != 0 ] && [ -e "/proc/$pid/cgroup" ]; then
            add_group "$pid" 2> /dev/null || :
            files="$files /proc/$pid/cgroup /proc/$pid/net/dev"
        fi
    done << END
$states
END
    for record in "/run/hashlab/intercepts/$lab"/*/; do
        if read -r pid 2> /dev/null < "$record/pid" && [ -d "/proc/$pid" ]; then
            record=${record%/}
            echo "#intercepted ${record##*/}"
        fi
    done
    # shellcheck disable=SC2086 # a list of paths without blanks
    grep --no-messages --with-filename --null --extended-regexp "$wanted" $files || :
    echo '#end'
}

if [ "$seconds" = 0 ]; then
    sample
    exit
fi
exec 3<&0
{
    cat <&3
    kill $$
} > /dev/null 2>&1 &
while :; do
    sample
    sleep "$seconds"
done 3<&-
