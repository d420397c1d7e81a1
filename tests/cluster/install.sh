#!/usr/bin/env bash
# Installs what `make cluster-test` needs below .tools: etcd of Debian; by Go an API server with its controllers, kubectl,
# Helm 3 and 4, kustomize and the Prometheus operator's CRDs. Needs root and Go; 10 minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
kubernetes=v1.31.4
operator=v0.85.0
tools=$PWD/.tools
mkdir -p "$tools/bin" "$tools/go"

if ! command -v etcd >/dev/null; then
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends etcd-server >/dev/null
fi

install_by_go() { # NAME PACKAGE@VERSION
  if [ ! -x "$tools/bin/$1" ]; then
    GOBIN="$tools/go" go install "$2"
    mv "$tools/go/"* "$tools/bin/$1"
  fi
}
install_by_go helm helm.sh/helm/v3/cmd/helm@v3.16.3
install_by_go helm-4 helm.sh/helm/v4/cmd/helm@v4.3.1
install_by_go kustomize sigs.k8s.io/kustomize/kustomize/v5@v5.5.0

downloaded() { # MODULE@VERSION: its folder in the module cache
  go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

if [ ! -d "$tools/crds" ]; then
  cp -r "$(downloaded "github.com/prometheus-operator/prometheus-operator@$operator")/example/prometheus-operator-crd" "$tools/crds"
  chmod -R u+w "$tools/crds"
fi

# Kubernetes replaces its own libraries by folders that the module does not have; they are published beside it.
build_kubernetes() { # PROGRAM...
  local source
  source=$(mktemp -d)
  trap 'rm -rf "$source"' RETURN
  cp -r "$(downloaded "k8s.io/kubernetes@$kubernetes")/." "$source"
  chmod -R u+w "$source"
  sed -i -E "s#=> ./staging/src/(k8s.io/[a-z-]+)#=> \1 ${kubernetes/v1/v0}#" "$source/go.mod"
  local stamp="-X k8s.io/component-base/version.gitVersion=$kubernetes"
  stamp="$stamp -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=31"
  for program in "$@"; do
    (cd "$source" && GOWORK=off GOFLAGS="-mod=mod -buildvcs=false" CGO_ENABLED=0 \
      go build -trimpath -ldflags "-s -w $stamp" -o "$tools/bin/$program" "./cmd/$program")
  done
}
missing=()
for program in kube-apiserver kube-controller-manager kubectl; do
  [ -x "$tools/bin/$program" ] || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then build_kubernetes "${missing[@]}"; fi
