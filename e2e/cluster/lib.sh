# shellcheck shell=bash
# lib.sh: what the cluster scripts share. Sourced, never run.
#
# A cluster is a folder. Everything that a cluster owns is in it, or named after it, so that several run side by side and
# `down.sh` leaves nothing behind:
#   CLUSTER_DIR   the folder (default: .cluster in the repository)
#   CLUSTER_NAME  prefix of the bridge and of the nodes' cgroups (default: eyas); at most 8 characters
#   CLUSTER_NET   three octets; .1 is this machine, .2 is node1 with the control plane, .3 is node2 (default: 10.89.0)
#
# A node is a network and a mount namespace, held by one `sleep`. In its mount namespace the usual paths of a node (/var/lib/kubelet,
# /run/containerd, ...) are folders of the cluster's, so that nothing of the machine's own is touched and a pod's hostPath looks
# as it does on any node. The kernel, its PIDs and its cgroups are the machine's, as with kind.
set -euo pipefail

EYAS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CLUSTER_DIR=$(realpath -m "${CLUSTER_DIR:-$EYAS_ROOT/.cluster}")
CLUSTER_NAME=${CLUSTER_NAME:-eyas}
CLUSTER_NET=${CLUSTER_NET:-10.89.0}
K8S_VERSION=${K8S_VERSION:-1.36.3}
CONTROLPLANE=${CONTROLPLANE:-${XDG_CACHE_HOME:-$HOME/.cache}/eyas/controlplane/controlplane-$K8S_VERSION}
# Where a node's own state lies under its usual names. The folder is made on the machine if it is missing (and removed by down.sh).
# shellcheck disable=SC2034
NODE_PATHS=(/var/lib/kubelet /var/lib/containerd /var/lib/cni /var/lib/eyas /var/log/pods /var/log/containers /run/containerd /run/netns)

started=$(date +%s%N)
say() { printf '%6.1fs  %s\n' "$(($(date +%s%N) - started))e-9" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 2; }

node_ip() { echo "$CLUSTER_NET.$(($1 + 1))"; }
node_dir() { echo "$CLUSTER_DIR/node$1"; }
node_cgroup() { echo "$CLUSTER_NAME-node$1"; }
cgroup_mounts() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

# A process is known by its id and its start time: a pid file that outlived its process never ends another's.
start_time() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
pid_of() {
  local pid start
  [ -f "$CLUSTER_DIR/run/$1.pid" ] || return 1
  read -r pid start < "$CLUSTER_DIR/run/$1.pid" || return 1
  [ -n "$start" ] && [ "$(start_time "$pid")" = "$start" ] && echo "$pid"
}
record_pid() { echo "$2 $(start_time "$2")" > "$CLUSTER_DIR/run/$1.pid"; }

# in_node N COMMAND...: runs in the node's network and mounts.
in_node() { local n=$1; shift; nsenter -t "$(pid_of "node$n-holder")" -n -m --wd="$CLUSTER_DIR" "$@"; }

# start NAME N COMMAND...: a daemon of node N, unless it runs already; its log is log/NAME.log.
start() {
  local name=$1 n=$2; shift 2
  pid_of "$name" > /dev/null && return 0
  # nsenter replaces itself by the command, so the id is the daemon's.
  setsid nsenter -t "$(pid_of "node$n-holder")" -n -m --wd="$CLUSTER_DIR" "$@" >> "$CLUSTER_DIR/log/$name.log" 2>&1 < /dev/null &
  record_pid "$name" $!
}

# stop SECONDS NAME...: asks, waits, then forces.
stop() {
  local patience=$1 name pid pids=(); shift
  for name in "$@"; do
    if pid=$(pid_of "$name"); then pids+=("$pid"); kill "$pid" 2>/dev/null || true; fi
    rm -f "$CLUSTER_DIR/run/$name.pid"
  done
  wait_gone "$patience" "${pids[@]}" || { kill -9 "${pids[@]}" 2>/dev/null || true; wait_gone 5 "${pids[@]}" || true; }
}
wait_gone() {
  local end=$(($(date +%s) + $1)) p left; shift
  while :; do
    left=0
    for p in "$@"; do kill -0 "$p" 2>/dev/null && left=1; done
    [ $left = 0 ] && return 0
    [ "$(date +%s)" -ge "$end" ] && return 1
    sleep 0.1
  done
}

# until_true SECONDS WHAT COMMAND...: polls; on time-out says what was awaited and shows the end of the log named in LOG.
until_true() {
  local seconds=$1 what=$2 end; shift 2
  end=$(($(date +%s) + seconds))
  until "$@" > /dev/null 2>&1; do
    if [ "$(date +%s)" -ge "$end" ]; then
      [ -z "${LOG:-}" ] || tail -n 15 "$CLUSTER_DIR/log/$LOG.log" >&2 || true
      die "$what: not after $seconds s; the logs are in $CLUSTER_DIR/log"
    fi
    sleep 0.1
  done
}

kubectl() { "$CLUSTER_DIR/bin/kubectl" --kubeconfig "$CLUSTER_DIR/kubeconfig" "$@"; }

# The parts of the control plane, each started alone so that a test can stop and start one (part.sh).
start_part() {
  local ip bin=$CLUSTER_DIR/bin pki=$CLUSTER_DIR/pki
  ip=$(node_ip 1)
  case $1 in
    etcd)
      start etcd 1 "$bin/etcd" --data-dir "$CLUSTER_DIR/etcd" --unsafe-no-fsync --log-level warn ;;
    kube-apiserver)
      start kube-apiserver 1 "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address="$ip" \
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
        --service-cluster-ip-range=10.96.0.0/16 --kubelet-preferred-address-types=InternalIP \
        --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
        --kubelet-certificate-authority="$pki/ca.crt" --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$pki/sa.key" --service-account-signing-key-file="$pki/sa.key" \
        --token-auth-file="$pki/tokens.csv" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --allow-privileged=true ;;
    kube-controller-manager)
      start kube-controller-manager 1 "$bin/kube-controller-manager" --kubeconfig="$pki/controller-manager.conf" \
        --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/sa.key" --use-service-account-credentials \
        --leader-elect=false --bind-address=127.0.0.1 ;;
    kube-scheduler)
      start kube-scheduler 1 "$bin/kube-scheduler" --kubeconfig="$pki/scheduler.conf" --leader-elect=false --bind-address=127.0.0.1 ;;
    node*-containerd)
      local n=${1#node}; n=${n%%-*}
      start "$1" "$n" containerd -c "$(node_dir "$n")/containerd.toml" ;;
    node*-kubelet)
      local n=${1#node}; n=${n%%-*}
      start "$1" "$n" "$bin/kubelet" --config="$(node_dir "$n")/kubelet.yaml" --kubeconfig="$pki/node$n.conf" \
        --root-dir=/var/lib/kubelet --node-ip="$(node_ip "$n")" --hostname-override="node$n" ;;
    node*-kube-proxy)
      local n=${1#node}; n=${n%%-*}
      start "$1" "$n" "$bin/kube-proxy" --config="$(node_dir "$n")/proxy.yaml" --hostname-override="node$n" ;;
    *) die "no part '$1': etcd, kube-apiserver, kube-controller-manager, kube-scheduler, nodeN-{containerd,kubelet,kube-proxy}" ;;
  esac
}
