#!/bin/sh
# Makes two images from Debian's packages, for where no registry is to be had: NAME, with Python alone, and NAME-build,
# with pip and strip beside it. Needs root, debootstrap and buildah.
#
#   deploy/image/base.sh localhost/together-exporter-base
set -eu
name=$1
suite=bookworm
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

commit() { # NAME TREE
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$2" / >/dev/null
  buildah commit --quiet "$container" "$1" >/dev/null
  buildah rm "$container" >/dev/null
}

debootstrap --variant=minbase --include=python3,ca-certificates "$suite" "$tree" >&2
rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/var/log/* "$tree"/usr/share/doc "$tree"/usr/share/man \
  "$tree"/usr/share/locale "$tree"/usr/share/info "$tree"/usr/share/lintian
commit "$name" "$tree"
chroot "$tree" sh -ec 'apt-get update -q && apt-get install -q -y --no-install-recommends python3-pip python3-venv binutils' >&2
commit "$name-build" "$tree"
