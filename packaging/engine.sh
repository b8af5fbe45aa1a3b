# shellcheck shell=bash
# What the two builds of the speech engine share: which sources, and how they are fetched.
# To be sourced after steps.sh.
engine_compiler=${CXX:-c++}

# The lines of one package in the lock: its version and hashes.
pin() { awk '/^pywhispercpp==/ {on = 1} on {print} on && !/\\$/ {exit}' packaging/requirements.lock; }

can_build() {
  command -v "$engine_compiler" >/dev/null && [ -e "$(.venv/bin/python -c \
    'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
}

# fetch DIRECTORY: the source of the locked version, checked against its hash.
fetch() {
  pin >"$1/pin"
  pip download --no-deps --no-build-isolation --no-binary pywhispercpp --require-hashes -r "$1/pin" -d "$1/source"
}
