#!/usr/bin/env bash
# node.sh N: joins node N (2 and up; up.sh makes node 1) to the cluster of this folder, and waits until it is Ready.
# node.sh N down: takes it away again.
# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=e2e/cluster/namespaces.sh
source "$(dirname "$0")/namespaces.sh"

n=${1:?which node: a number from 1 to 8}
dir=$(node_dir "$n")
if [ "${2:-}" = down ]; then
  kubectl delete node "node$n" --ignore-not-found --wait=false > /dev/null 2>&1 || true
  node_down "$n"
  rm -rf "$dir"
  exit 0
fi

make_namespaces "$n"
mkdir -p "$dir/cni"
for f in containerd.toml kubelet.yaml proxy.yaml cni.conflist; do
  out=$dir/$f; [ $f = cni.conflist ] && out=$dir/cni/10-bridge.conflist
  sed -e "s#@DIR@#$dir#g; s#@PKI@#$CLUSTER_DIR/pki#g; s#@N@#$n#g; s#@CGROUP@#/$(node_cgroup "$n")#g" "$(dirname "$0")/conf/$f" > "$out"
done
start_part "node$n-containerd"
LOG=node$n-containerd until_true 15 "containerd of node$n" test -S "$dir/run/containerd/containerd.sock"
"$(dirname "$0")/images.sh" "$n" pause busybox
start_part "node$n-kubelet"
start_part "node$n-kube-proxy"
LOG=node$n-kubelet until_true 60 "node$n joins" kubectl get node "node$n"
LOG=node$n-kubelet until_true 60 "node$n is Ready" kubectl wait --for=condition=Ready "node/node$n" --timeout=1s
say "node$n is Ready at $(node_ip "$n")"
