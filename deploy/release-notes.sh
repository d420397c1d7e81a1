#!/bin/sh
# Prints what CHANGELOG.md says of VERSION, without its heading; fails where that is nothing.
#
#   deploy/release-notes.sh 0.1.0 [CHANGELOG]
set -eu
notes=$(awk -v heading="## [$1]" '/^## / {on = index($0, heading) == 1; next} on' "${2:-CHANGELOG.md}")
if [ -z "$(printf %s "$notes" | tr -d '[:space:]')" ]; then
  echo "${2:-CHANGELOG.md} has no text for version $1" >&2
  exit 1
fi
printf '%s\n' "$notes" | sed '/./,$!d'
