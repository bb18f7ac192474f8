#!/bin/sh
# build.sh PROGRAM: the runtime on Go's libcni, from what Debian has (golang-go,
# golang-github-appc-cni-dev); 77 where it is not installed.
set -eu
sources=/usr/share/gocode
program=$(realpath "$1")
[ -d "$sources/src/github.com/containernetworking/cni/libcni" ] && command -v go >/dev/null || exit 77
export GO111MODULE=off GOPATH="$sources" GOCACHE="$(dirname "$program")/go-cache"
here=$(dirname "$(realpath "$0")")
cd /  # a checkout is no place for GOPATH's rules
exec go build -o "$program" "$here/golibcni.go"
