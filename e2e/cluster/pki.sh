# shellcheck shell=bash
# pki.sh: keys, users and kubeconfigs of a cluster. Sourced by up.sh; makes nothing twice.
# Users carry tokens, which spares client certificates; exec and logs need the API server's own client certificate.

MAX_NODES=8

new_cert() { # NAME SUBJECT ALTERNATIVE-NAMES
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" \
    -extfile <(echo "subjectAltName=$3") 2>/dev/null
  rm -f "$1.csr"
}

new_user() { # FILE USER GROUP: a line in tokens.csv and a kubeconfig that stands on its own
  local token; token=$(openssl rand -hex 16)
  echo "$token,$2,$1,\"$3\"" >> tokens.csv
  cat > "$1.conf" <<CONF
apiVersion: v1
kind: Config
clusters:
- name: $CLUSTER_NAME
  cluster: {server: "https://$(node_ip 1):6443", certificate-authority-data: $(base64 -w0 < ca.crt)}
users:
- name: $1
  user: {token: $token}
contexts:
- name: $CLUSTER_NAME
  context: {cluster: $CLUSTER_NAME, user: $1}
current-context: $CLUSTER_NAME
CONF
}

make_pki() (
  umask 077
  mkdir -p "$CLUSTER_DIR/pki"
  cd "$CLUSTER_DIR/pki" || exit
  [ ! -f complete ] || return 0
  rm -f tokens.csv
  openssl genrsa -out sa.key 2048 2>/dev/null
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -keyout ca.key -out ca.crt -subj "/CN=$CLUSTER_NAME test CA" 2>/dev/null
  new_cert apiserver /CN=kube-apiserver \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:10.96.0.1,IP:$(node_ip 1),IP:127.0.0.1"
  new_cert kubelet-client /O=system:masters/CN=kubelet-client DNS:kubelet-client
  new_user admin admin system:masters
  new_user controller-manager system:kube-controller-manager system:masters
  new_user scheduler system:kube-scheduler ""
  new_user proxy system:kube-proxy ""
  # The token file is read once, when the API server starts: every node that may join has its line now.
  for n in $(seq $MAX_NODES); do
    new_user "node$n" "system:node:node$n" system:nodes
    new_cert "node$n" "/CN=node$n" "DNS:node$n,IP:$(node_ip "$n")"
  done
  sed -i 's/,""$//' tokens.csv
  touch complete
)
