#!/bin/sh
# List what lies in the lab's folder ($1): kind, identity, path and a link's target of each entry, then both records, then
# who intercepts which service, each part up to "hashlab" between two NULs. A path begins with files or secrets and a
# target with "=", so neither looks like it. Few programs run: starting one takes as long as its work.
cd -P -- "$1" 2> /dev/null && find files secrets -printf '%y:%D:%i:%s:%T@:%C@:%m\0%p\0=%l\0' 2> /dev/null
printf '\0hashlab\0'
printf '\0hashlab\0' | cat "$1/manifest" - "$1/processes" 2> /dev/null
printf '\0hashlab\0'
for record in "/run/hashlab/intercepts/${1##*/}"/*/; do
    if read -r pid 2> /dev/null < "$record/pid" && [ -d "/proc/$pid" ]; then
        printf '%s:' "${record%/}" && cat "$record/replicas" "$record/holder"
    fi
done
printf '\0hashlab\0'
