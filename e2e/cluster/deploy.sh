#!/usr/bin/env bash
# deploy.sh: Eyas and its default rules into the cluster of KUBECONFIG; waits until every part is ready and every rule armed.
# With CLUSTER_DIR, the image's digest is noted on the pods, so that a new build restarts them and an old one does not.
root=$(cd "$(dirname "$0")/../.." && pwd)
set -euo pipefail
: "${KUBECONFIG:?which cluster}"
started=$(date +%s%N)
say() { printf '%6.1fs  %s\n' "$(($(date +%s%N) - started))e-9" "$*" >&2; }

# wait_for WHAT COMMAND...: shows what the cluster says when it does not come.
wait_for() {
  local what=$1; shift
  if ! "$@" > /dev/null 2>&1; then
    echo "error: $what does not get ready. The cluster says:" >&2
    kubectl -n eyas-system get pods -o wide >&2 || true
    kubectl -n eyas-system get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 12 >&2 || true
    for w in deployment/eyas-operator deployment/eyas-router daemonset/eyas-agent; do
      echo "--- log of $w" >&2; kubectl -n eyas-system logs "$w" --tail=15 >&2 || true
    done
    exit 1
  fi
  say "$what"
}

manifests=$root/manifests/default
if [ -n "${CLUSTER_DIR:-}" ] && [ -f "$CLUSTER_DIR/images/eyas.digest" ]; then
  overlay=$CLUSTER_DIR/kustomize
  mkdir -p "$overlay"
  printf 'resources: [%s]\ncommonAnnotations: {eyas.dev/image-digest: "%s"}\n' \
    "$(realpath --relative-to="$overlay" "$manifests")" "$(cat "$CLUSTER_DIR/images/eyas.digest")" > "$overlay/kustomization.yaml"
  manifests=$overlay
fi
# Definitions first, and established: the rest may hold objects of these kinds.
kubectl apply --server-side --force-conflicts -k "$manifests" > /dev/null
kubectl wait --for=condition=Established --timeout=30s crd/detectionrules.eyas.dev crd/exceptions.eyas.dev crd/outputroutes.eyas.dev \
  crd/rulelibraries.eyas.dev crd/nodeagents.eyas.dev > /dev/null
say "manifests applied"
wait_for "operator ready" kubectl -n eyas-system rollout status deployment/eyas-operator --timeout=120s
wait_for "router ready" kubectl -n eyas-system rollout status deployment/eyas-router --timeout=120s
kubectl apply --server-side --force-conflicts -k "$root/manifests/rules" > /dev/null
wait_for "agents ready" kubectl -n eyas-system rollout status daemonset/eyas-agent --timeout=120s
wait_for "default rules armed" kubectl -n eyas-system wait detectionrules --all --for=condition=Ready --timeout=60s
