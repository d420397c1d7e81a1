#!/bin/sh
# Builds IMAGE from this checkout, labelled with its version, revision and date: by Docker where its engine runs, else by
# buildah on a base of Debian's packages. BASE and BUILD_BASE choose another.
#
#   deploy/image/build.sh together-exporter:0.1.0
set -eu
cd "$(dirname "$0")/../.."
image=$1
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' exporter/__init__.py)
revision=$(git rev-parse HEAD)
if ! git diff --quiet HEAD; then revision="$revision-dirty"; fi
created=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)
set -- --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$created"

if docker info >/dev/null 2>&1; then
  builder=docker
else
  builder="buildah"
  set -- "$@" --format docker --isolation chroot --volume /etc/ssl/certs:/etc/ssl/certs:ro
  if [ -z "${BASE:-}" ]; then
    BASE=localhost/together-exporter-base
    BUILD_BASE=$BASE-build
    buildah inspect --type image "$BUILD_BASE" >/dev/null 2>&1 || deploy/image/base.sh "$BASE"
  fi
fi
if [ -n "${BASE:-}" ]; then set -- "$@" --build-arg "BASE=$BASE" --build-arg "BUILD_BASE=${BUILD_BASE:-$BASE}"; fi
"$builder" build --tag "$image" "$@" .
