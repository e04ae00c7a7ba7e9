# shellcheck shell=bash
# namespaces.sh: the namespaces, links and cgroups of a node, made and unmade. Sourced by up.sh, node.sh and down.sh.

# The machine's side of the cluster's network: a bridge that joins the nodes.
make_bridge() {
  local br=br-$CLUSTER_NAME
  [ ${#CLUSTER_NAME} -le 8 ] || die "CLUSTER_NAME '$CLUSTER_NAME' is too long: at most 8 characters (it names network links)"
  ip link show "$br" > /dev/null 2>&1 && return 0
  ip link add "$br" type bridge || die "no bridge can be made: run as root, with the kernel's bridge support"
  ip addr add "$CLUSTER_NET.1/24" dev "$br"
  ip link set "$br" up
}

make_namespaces() {
  local n=$1 dir link=ve$1-$CLUSTER_NAME holder m p
  dir=$(node_dir "$n")
  pid_of "node$n-holder" > /dev/null && return 0
  make_bridge
  mkdir -p "$dir" "$CLUSTER_DIR"/{run,log}
  # Mount points have to exist on the machine; what we made we note, and down.sh removes.
  for p in "${NODE_PATHS[@]}"; do
    mkdir -p "$dir/$(basename "$(dirname "$p")")/$(basename "$p")"
    [ -d "$p" ] || { mkdir -p "$p" && echo "$p" >> "$CLUSTER_DIR/made-folders"; }
  done
  # shellcheck disable=SC2016  # its own shell expands it
  setsid unshare --net --mount --propagation private sh -ec '
    dir=$1; shift
    for p in "$@"; do mount --bind "$dir/$(basename "$(dirname "$p")")/$(basename "$p")" "$p"; done
    mount --make-rshared /
    exec sleep infinity' holder "$dir" "${NODE_PATHS[@]}" > "$CLUSTER_DIR/log/node$n-holder.log" 2>&1 < /dev/null &
  holder=$!
  record_pid "node$n-holder" $holder
  LOG=node$n-holder until_true 5 "namespaces of node$n" sh -c "[ \"\$(cat /proc/$holder/comm)\" = sleep ]"
  ip link add "$link" type veth peer name "eth$n-$CLUSTER_NAME"
  ip link set "$link" master "br-$CLUSTER_NAME" up
  ip link set "eth$n-$CLUSTER_NAME" netns "$holder" name eth0
  in_node "$n" sh -ec "ip link set lo up; ip addr add $(node_ip "$n")/24 dev eth0; ip link set eth0 up
    ip route add default via $CLUSTER_NET.1; sysctl -qw net.ipv4.ip_forward=1"
  # Each node knows the way to the pods of the others.
  for m in $(seq 8); do
    [ "$m" = "$n" ] || ! pid_of "node$m-holder" > /dev/null && continue
    in_node "$n" ip route replace "10.244.$m.0/24" via "$(node_ip "$m")"
    in_node "$m" ip route replace "10.244.$n.0/24" via "$(node_ip "$n")"
  done
  # Kubelets remove the cgroups of pods they do not know: each node has a root of its own.
  for m in $(cgroup_mounts); do mkdir -p "$m/$(node_cgroup "$n")"; done
}

# node_down N: ends every process of the node (daemons by pid file, containers by the node's cgroup, what is left by its mount
# namespace) and removes its links and cgroups.
node_down() {
  local n=$1 holder ns m p
  stop 2 "node$n-kubelet" "node$n-kube-proxy"
  # From here on containers die by force: nobody is left who would start them again.
  for m in $(cgroup_mounts); do
    find "$m/$(node_cgroup "$n")" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done | sort -u | xargs -r kill -9 2>/dev/null || true
  stop 2 "node$n-containerd"
  if holder=$(pid_of "node$n-holder"); then
    ns=$(readlink "/proc/$holder/ns/mnt")
    for p in /proc/[0-9]*; do
      [ "$(readlink "$p/ns/mnt" 2>/dev/null)" = "$ns" ] && [ "${p#/proc/}" != "$holder" ] && kill -9 "${p#/proc/}" 2>/dev/null
    done || true
  fi
  stop 1 "node$n-holder"
  ip link del "ve$n-$CLUSTER_NAME" 2>/dev/null || true
  for m in $(cgroup_mounts); do
    find "$m/$(node_cgroup "$n")" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}
