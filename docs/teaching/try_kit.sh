#!/bin/sh
# Install a kit where no network can be reached, and run a notebook there. Linux only; takes minutes and 4 GB of disk.
#
#     sh docs/teaching/try_kit.sh dist/tlkeras-kit-*.zip [NOTEBOOK]
#
# The notebook is 01_the_whole_game unless named. Everything happens in a temporary folder with a home of its own, so
# that no package, weight or feature of this machine is used by accident.
set -eu
kit=$(realpath "$1")
notebook=${2:-01_the_whole_game}
folder=$(mktemp -d "${TMPDIR:-/tmp}/kit.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cat > "$folder/inside.sh" <<'INSIDE'
set -eu
ip link set lo up  # Jupyter talks to its kernels through it
if python3 -c 'import socket; socket.create_connection(("1.1.1.1", 443), 3)' 2>/dev/null; then
    echo "There is a network here, so this would prove nothing." >&2
    exit 1
fi
python3 -m zipfile -e "$1" "$HOME"
cd "$HOME"/tlkeras-kit-*
start=$(date +%s)
sh install.sh
echo "Installed in $(($(date +%s) - start)) s; $(du -sh .venv | cut -f1) on disk."
start=$(date +%s)
.venv/bin/python -m nbconvert --to notebook --execute --output-dir "$HOME" "notebooks/read/$2.ipynb"
echo "$2 ran in $(($(date +%s) - start)) s without a network."
INSIDE
env -i HOME="$folder" PATH="$PATH" unshare --map-root-user --net sh "$folder/inside.sh" "$kit" "$notebook"
