#!/bin/sh
# Put what an archive (the input) brings in its place below the lab's folder ($1). Runs as root; $2: the program that acts
# on the names of a list; $3: "all"; or "empty", which only makes an empty scratch for rsync to bring files to, and then
# "rest". All of it is on the machine before the first entry is replaced, and each is replaced in one step: a reader sees
# the old one or the new one. Containers can write below "files", never to "scratch".
umask 022
walk=$2
# Entries belong to the machine's user. tar gives them their owner and mode at once: chown would take set-uid away.
as_user() {
    if [ -n "${SUDO_UID-}" ]; then
        setpriv --reuid "$SUDO_UID" --regid "${SUDO_GID-}" --clear-groups -- "$@"
    else
        "$@"
    fi
}
as_user mkdir -p -- "$1" && cd -P -- "$1" || exit 1
for folder in "$1" files secrets scratch; do
    if [ -L "$folder" ]; then
        echo "$folder is a link" >&2
        exit 1
    fi
done
if [ "$3" != rest ]; then
    rm -rf scratch && as_user mkdir -p -m 0700 scratch secrets && as_user mkdir -p files || exit 1
fi
if [ "$3" = empty ]; then
    as_user mkdir -p scratch/new/files
    exit
fi
(cd scratch && as_user tar -x -p -f -) || exit 1
[ -f scratch/end ] || { echo "the archive is not whole" >&2; exit 1; }
if [ -d scratch/new/secrets ]; then
    chown -h -R 0:0 scratch/new/secrets 2> /dev/null || [ "$(id -u)" -ne 0 ] || exit 1
    # MODE.USER.GROUP names a secret with an owner of its own.
    # shellcheck disable=SC2016 # the inner shell expands these
    find scratch/new/secrets -type f -name "*.*.*" -exec sh -c '
        for file; do
            owner=${file##*/} && owner=${owner#*.}
            chown -h -- "${owner%.*}:${owner#*.}" "$file" || [ "$(id -u)" -ne 0 ] || exit 1
        done' sh {} + || exit 1
fi
for action in remove empty place mode; do
    [ ! -f "scratch/$action" ] || xargs -0 -r sh -c "$walk" sh "$action" < "scratch/$action" || exit 1
done
rm -rf scratch/new
