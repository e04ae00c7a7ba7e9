#!/usr/bin/env bash
# part.sh stop|start|kill PART: one part of the cluster of this folder, for tests of what happens without it.
# Parts: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, nodeN-containerd, nodeN-kubelet, nodeN-kube-proxy.
# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "$0")/lib.sh"
part=${2:?which part}
case ${1:?stop, start or kill} in
  stop) stop 15 "$part" ;;
  kill) pid=$(pid_of "$part") && kill -9 "$pid" && wait_gone 5 "$pid"; rm -f "$CLUSTER_DIR/run/$part.pid" ;;
  start) start_part "$part" ;;
  *) die "stop, start or kill" ;;
esac
