#!/bin/sh
# Write an archive of path $2 in container $1 to the output.
folder=$(mktemp -d) || exit
trap 'rm -rf -- "$folder"' EXIT
docker cp -- "$1:$2" "$folder" >/dev/null && tar --create --file=- --directory="$folder" .
