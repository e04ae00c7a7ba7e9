#!/usr/bin/env bash
# e2e.sh [CARGO-TEST-ARGS...]: the end-to-end tests, on a cluster of their own (or that of KUBECONFIG), which is removed at the end.
# EYAS_KEEP=1 keeps it, for the next run or for looking around. Needs the release binaries (build.sh).
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
use_cargo
cd "$ROOT"
export EYAS_E2E=1 EYAS_RELEASE=${EYAS_RELEASE:-$ROOT/target/release}
if [ -z "${KUBECONFIG:-}" ]; then
  # Beside a cluster of `make cluster`, never instead of it.
  export CLUSTER_DIR=${CLUSTER_DIR:-$ROOT/target/e2e-cluster} CLUSTER_NAME=${CLUSTER_NAME:-eyast} CLUSTER_NET=${CLUSTER_NET:-10.98.0}
  [ -n "${EYAS_KEEP:-}" ] || trap 'e2e/cluster/down.sh > /dev/null 2>&1 || true' EXIT
  KUBECONFIG=$(e2e/cluster/up.sh)
  export KUBECONFIG PATH=$CLUSTER_DIR/bin:$PATH
  e2e/cluster/images.sh 1 eyas
  # Tests of the crates that want a real API server with our definitions, and nothing of ours running in it yet.
  for part in crds components/policyreport-crds; do kubectl apply -k "manifests/$part" > /dev/null; done
  kubectl apply -f manifests/base/namespace.yaml > /dev/null
  # The same packages as in test.sh, so that nothing is built anew.
  EYAS_TEST_KUBECONFIG=$KUBECONFIG cargo test --locked --no-fail-fast --workspace --exclude eyas-e2e --test cluster --test api_server \
    -- --test-threads=1 --show-output || failed=1
fi
e2e/cluster/deploy.sh
# One at a time: they share a kernel, and some stop the API server.
cargo test -p eyas-e2e --locked --no-fail-fast "$@" -- --test-threads=1 --show-output || failed=1
[ -z "${failed:-}" ]
