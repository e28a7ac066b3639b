#!/bin/sh
# Print the generated secret $2 that lies in the lab's folder ($1), whatever the mode it was asked for with; from a lab of
# an earlier version of hashlab, too.
for file in "$1/secrets/secret/$2"/* "$1/secrets/$2"; do
    if [ -f "$file" ] && [ ! -L "$file" ] && [ -s "$file" ]; then
        exec cat -- "$file"
    fi
done
exit 1
