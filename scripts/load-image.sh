#!/usr/bin/env bash
# load-image.sh DIR: gives the archives in DIR to the cluster of KUBECONFIG, if it is one of those that can take them from here.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
context=$(kubectl config current-context)
for archive in "$1"/*.tar; do
  case $context in
    kind-*) have kind && kind load image-archive --name "${context#kind-}" "$archive" && continue ;;
    k3d-*) have k3d && k3d image import --cluster "${context#k3d-}" "$archive" && continue ;;
    minikube) have minikube && minikube image load "$archive" && continue ;;
  esac
  if have k3s && [ "$context" = default ]; then as=$(command -v sudo || true); $as k3s ctr images import "$archive"; continue; fi
  note "cannot load $archive into the nodes of '$context': push it to a registry that they reach and set the image in manifests/default"
done
