#!/usr/bin/env bash
# up.sh: a bare Kubernetes cluster of one node on this machine, from the binary of controlplane/build.sh. Quick (10 s) and idempotent:
# what runs is left alone, what ended is started again. Prints the path of its kubeconfig. See lib.sh for the parameters.
here=$(dirname "$0")
# shellcheck source=e2e/cluster/lib.sh
source "$here/lib.sh"
# shellcheck source=e2e/cluster/namespaces.sh
source "$here/namespaces.sh"
# shellcheck source=e2e/cluster/pki.sh
source "$here/pki.sh"

[ "$(id -u)" = 0 ] || die "a cluster on this machine needs root; with a cluster of your own set KUBECONFIG instead"
[ -x "$CONTROLPLANE" ] || die "$CONTROLPLANE is missing: run 'scripts/setup.sh cluster'"
for tool in containerd runc ip nft openssl nsenter; do
  command -v $tool > /dev/null || die "$tool is missing: run 'scripts/setup.sh cluster'"
done

mkdir -p "$CLUSTER_DIR"/{bin,log,run}
chmod 700 "$CLUSTER_DIR"
for part in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do ln -sf "$CONTROLPLANE" "$CLUSTER_DIR/bin/$part"; done
cat > "$CLUSTER_DIR/env" <<ENV
CLUSTER_DIR=$CLUSTER_DIR CLUSTER_NAME=$CLUSTER_NAME CLUSTER_NET=$CLUSTER_NET
ENV
make_pki
cp "$CLUSTER_DIR/pki/admin.conf" "$CLUSTER_DIR/kubeconfig"
make_namespaces 1
start_part etcd
start_part kube-apiserver
LOG=kube-apiserver until_true 90 "the API server" kubectl get --raw /readyz
say "the API server answers at https://$(node_ip 1):6443"
start_part kube-controller-manager
start_part kube-scheduler
"$here/node.sh" 1
LOG=kube-controller-manager until_true 60 "the controllers" kubectl get serviceaccount default
echo "$CLUSTER_DIR/kubeconfig"
