#!/bin/sh
# Read an archive from the input, and copy the name $3 in it to path $2 in container $1.
folder=$(mktemp -d) || exit
trap 'rm -rf -- "$folder"' EXIT
tar --extract --file=- --directory="$folder" && docker cp -- "$folder/$3" "$1:$2" >/dev/null
