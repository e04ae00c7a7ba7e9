#!/usr/bin/env bash
# gomod.sh VERSION: writes go.mod for main.go into the current folder. The published module k8s.io/kubernetes refers to its staging modules by
# folders which its archive does not hold; each is published on its own under 0.MINOR.PATCH, and that is what we point to.
set -euo pipefail
version=${1:?a Kubernetes version, such as 1.36.3}
upstream=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/^.*"GoMod": "\(.*\)".*$/\1/p')
[ -f "$upstream" ] || { echo "error: go cannot download k8s.io/kubernetes v$version: is its module proxy reachable (go env GOPROXY)?" >&2; exit 2; }
etcd=$(awk '$1 == "go.etcd.io/etcd/server/v3" { print $2; exit }' "$upstream")
{
  echo "module eyas.dev/e2e/controlplane"
  grep -E '^(go|godebug) ' "$upstream"
  echo "require k8s.io/kubernetes v$version"
  echo "require go.etcd.io/etcd/server/v3 $etcd"
  awk -v v="v0.${version#*.}" '$2 == "=>" && $3 ~ /^\.\/staging\// { print "replace " $1 " => " $1 " " v }' "$upstream"
} > go.mod
go mod tidy
