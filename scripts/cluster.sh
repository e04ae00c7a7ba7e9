#!/usr/bin/env bash
# cluster.sh: Eyas in a cluster. Without KUBECONFIG: a cluster on this machine (e2e/cluster). With it: that cluster.
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
"$here/setup.sh" build
if [ -z "${KUBECONFIG:-}" ]; then
  "$here/setup.sh" cluster
  "$here/build.sh"
  KUBECONFIG=$("$ROOT/e2e/cluster/up.sh")
  dir=$(dirname "$KUBECONFIG")
  export KUBECONFIG PATH=$dir/bin:$PATH
  CLUSTER_DIR=$dir "$ROOT/e2e/cluster/images.sh" 1 eyas
  CLUSTER_DIR=$dir "$ROOT/e2e/cluster/deploy.sh"
else
  have kubectl || die "kubectl is missing"
  "$here/build.sh"
  CLUSTER_DIR=$ROOT/target/cluster-images "$ROOT/e2e/cluster/images.sh" 0 eyas busybox
  "$here/load-image.sh" "$ROOT/target/cluster-images/images"
  "$ROOT/e2e/cluster/deploy.sh"
fi
kubeconfig=$(realpath --relative-to="$PWD" "$KUBECONFIG")
cat <<TRY

Eyas is running. Try:

  export KUBECONFIG=$kubeconfig${dir:+ PATH=$(realpath --relative-to="$PWD" "$dir")/bin:\$PATH}
  kubectl run try --image=localhost/busybox:1 -- sleep 3600
  kubectl wait --for=condition=Ready pod/try
  kubectl exec try -- cat /etc/shadow          # a detection ...
  kubectl get policyreports                    # ... is in the pod's report within a second
  kubectl get dr -A                            # the rules: armed, matches, last
  kubectl get na                               # the agents: events, drops
TRY
