#!/bin/sh
# Install tlkeras from this folder, without a network: sh install.sh
# Finds a Python of the version that the kit was made for; everything else is done by install.py.
cd "$(dirname "$0")" || exit 1
wanted=$(sed -n 's/^ *"python": "\(.*\)",*$/\1/p' manifest.json)
for python in "python$wanted" python3 python; do
    if [ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$wanted" ]; then
        exec "$python" install.py "$@"
    fi
done
echo "This kit needs Python $wanted, and none was found. Install it, or have a kit built with the Python that is here." >&2
exit 1
