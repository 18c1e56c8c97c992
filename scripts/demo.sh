#!/usr/bin/env bash
# The main job in one go, in a project of its own below ./demo.
set -euo pipefail
cd "$(dirname "$0")/.."

# Print a word as a shell takes it: in quotes where it has spaces or signs of the shell.
word() { if [[ $1 =~ ^[A-Za-z0-9_./=@:-]+$ ]]; then printf ' %s' "$1"; else printf " '%s'" "${1//\'/\'\\\'\'}"; fi; }
say() { printf '\n\033[1m$'; for each in "$@"; do word "$each"; done; printf '\033[0m\n'; }
run() { say "$@"; "$@"; }

rm -rf demo
run edgecli init demo --template rag --yes
cd demo
run edgecli models pull
started=$(date +%s)
run edgecli vectorize create docs-index --dimensions=384 --metric=cosine
run edgecli ingest ./docs --index docs-index
run edgecli query "how do refunds work" --index docs-index --top-k 3
run edgecli rag ask "How long do I have to ask for a refund?" --index docs-index
run edgecli rag ask "How long is the warranty on a lantern?" --index docs-index
printf '\nDone in %s s. The project is in ./demo: try `edgecli chat --index docs-index` there.\n' "$(($(date +%s) - started))"
