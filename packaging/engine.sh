# shellcheck shell=bash
# What the two builds of the speech engine share: which sources, and how they are fetched.
# To be sourced after steps.sh; `environment` is the virtual environment whose Python it is built for.
environment=${environment:-.venv}
engine_compiler=${CXX:-c++}

# The lines of one package in the lock: its version and hashes.
pin() { awk '/^pywhispercpp==/ {on = 1} on {print} on && !/\\$/ {exit}' packaging/requirements.lock; }

can_build() {
  command -v "$engine_compiler" >/dev/null && [ -e "$("$environment/bin/python" -c \
    'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
}

# fetch DIRECTORY: the source of the locked version, checked against its hash.
fetch() {
  pin >"$1/pin"
  env -u PIP_TARGET -u PIP_PREFIX PIP_USER=0 "$environment/bin/python" -m pip --disable-pip-version-check --no-input \
    download --no-deps --no-build-isolation --no-binary pywhispercpp --require-hashes -r "$1/pin" -d "$1/source"
}
