#!/usr/bin/env bash
# Every test and check of a checkout, from nothing: installs what is missing (Debian packages by apt,
# Python packages into .venv), builds, and runs them all.  Kernel tests need root and run as root.
#
#   scripts/test.sh [PYTEST ARGUMENTS]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

failed=()
# step NAME CMD...: run one part, say how long it took, and go on whatever comes of it.
step() {
    local name=$1 start=$SECONDS status=0
    shift
    echo "--- $name"
    "$@" || { status=$?; failed+=("$name"); }
    echo "--- $name: $([ $status = 0 ] && echo ok || echo "FAILED ($status)"), $((SECONDS - start)) s"
}

lint() {
    "$VENV/bin/ruff" check --output-format concise . &&
        "$VENV/bin/ruff" format --check . &&
        "$VENV/bin/mypy" &&
        find csrc tests/c benchmarks/c -name '*.[ch]' -print0 | xargs -0 "$VENV/bin/clang-format" --dry-run -Werror
}

# The C tests are programs under AddressSanitizer and UBSan; warnings are errors here.
c_tests() {
    mkdir -p build
    "$VENV/bin/cmake" -S . -B build/sanitize -G Ninja \
        -DCMAKE_MAKE_PROGRAM="$PWD/$VENV/bin/ninja" -DCMAKE_BUILD_TYPE=Debug \
        -DCNIF_TESTS=ON -DCNIF_SANITIZE=ON -DCNIF_FAULTS=ON -DCNIF_WERROR=ON >build/sanitize.log 2>&1 &&
        "$VENV/bin/cmake" --build build/sanitize >>build/sanitize.log 2>&1 ||
        { cat build/sanitize.log; return 1; }
    as_root "$VENV/bin/ctest" --test-dir build/sanitize --output-on-failure --no-tests=error
}

# A second installation, whose kernel calls can be made to fail one by one.
faulty_build() {
    "$VENV/bin/pip" install -q --no-deps --no-build-isolation --target "$CNIFAST_FAULTY_SITE" \
        --upgrade -C build-dir=build/faulty -C cmake.define.CNIF_FAULTS=ON .
}

# Each test has a node of its own, and much of its time is spent waiting for the kernel.
python_tests() {
    as_root env CNIFAST_FAULTY_SITE="$CNIFAST_FAULTY_SITE" CNIFAST_RELEASE="$CNIFAST_RELEASE" \
        "$VENV/bin/python" -m pytest -n "$(($(nproc) * 2))" --dist worksteal "$@"
}

step packages need_packages iproute2 nftables iptables procps containernetworking-plugins \
    user-mode-linux kmod clang libclang-rt-14-dev net-tools golang-go golang-github-appc-cni-dev \
    systemd podman crun containerd runc busybox-static dbus dnsmasq-base
step venv need_venv
step tools "$VENV/bin/pip" install -q --group lint cmake ninja cffi cython scikit-build-core
step build "$VENV/bin/pip" install -q .
export CNIFAST_FAULTY_SITE=$PWD/build/faulty-site CNIFAST_RELEASE=$PWD/build/release
step demo bash scripts/demo.sh
step lint lint
step "C tests" c_tests
step "build with fault injection" faulty_build
step "packages of a release" bash wheels/build.sh "$CNIFAST_RELEASE"
step "Python tests" python_tests "$@"

if [ ${#failed[@]} != 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "all passed in $SECONDS s"
