# shellcheck shell=bash
# What every set-up step shares: messages, stamps, one step at a time, a log per long command.
# A step sources this first; it then stands in the root of the checkout.
#
# A stamp is a file holding the key (a hash of everything the step depends on) of the last run that
# *finished*: it is written last, so an interrupted step is simply done again.  Keys, not file times:
# a clone, a checkout or a copy changes times without changing anything.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamps=.venv/stamps
trap 'echo >&2; warn "interrupted; the same command goes on from here"; exit 130' INT
trap 'exit 143' TERM

say() { printf '==> %s\n' "$*"; }
warn() { printf '!!! %s\n' "$@" >&2; }
die() {
  warn "$@"
  exit 1
}

if ! mkdir -p build 2>/dev/null || [ ! -w . ] || [ ! -w build ]; then
  die "$PWD and what is in it must be writable for $(id -un): run as the user it belongs to, $(stat -c %U .)"
fi

# key_of: a short hash of what comes in on standard input.
key_of() { sha256sum | cut -c1-16; }

# fresh NAME KEY: true when the step NAME finished with this key.
fresh() { [ -e "$stamps/$1" ] && [ "$(head -n 1 "$stamps/$1")" = "$2" ]; }

# stamp NAME KEY [NOTE]: the step NAME has finished.  A rename, so that a stamp is whole or absent.
stamp() {
  mkdir -p "$stamps"
  printf '%s\n' "${@:2}" >"$stamps/$1.new"
  mv "$stamps/$1.new" "$stamps/$1"
}

# alone: waits until no other set-up step runs in this checkout (make -j, or make in two terminals).
alone() {
  exec 9>build/set-up.lock
  flock --nonblock 9 || {
    say "another set-up step is running in this checkout: waiting for it"
    flock 9
  }
}

# logged NAME COMMAND…: runs COMMAND with its output in build/NAME.log, and shows how it gets on: the
# newest line all the time on a terminal, every 15 s elsewhere.  When it fails: its last lines.
logged() {
  local log=build/$1.log status=0 ticker
  shift
  : >"$log"
  show_newest_line "$log" 9>&- &
  ticker=$!
  # shellcheck disable=SC2064  # the number of *this* ticker
  trap "kill $ticker 2>/dev/null || true" EXIT
  # in a subshell, so that an interruption's message goes to the reader and not into the log
  ("$@") >"$log" 2>&1 </dev/null || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  trap - EXIT
  [ ! -t 1 ] || printf '\r\033[K'
  if [ "$status" -ne 0 ]; then
    tail -n 20 "$log" >&2
    warn "this failed: $*" "its last lines are above, all of them in $log"
  fi
  return "$status"
}

show_newest_line() {
  local width line pause=15
  [ ! -t 1 ] || pause=1
  width=$(tput cols 2>/dev/null || echo 80)
  # a sleep left over must not hold the reader of a pipe (make run | tee) waiting
  while sleep "$pause" >/dev/null 2>&1; do
    # the last bytes only: a log grows to megabytes
    line=$(tail -c 2000 "$1" | tr '\r' '\n' | tr -cd '[:print:]\n' | grep -v '^ *$' | tail -n 1) || continue
    if [ -t 1 ]; then printf '\r\033[K    %.*s' $((width - 6)) "$line"; else printf '    … %.110s\n' "$line"; fi
  done
}

# room DIRECTORY MEGABYTES PURPOSE: stops early and in words when the disk is too full, not half-way.
room() {
  local free
  free=$(df -Pk "$1" | awk 'NR == 2 {print int($4 / 1024)}')
  [ "$free" -ge "$2" ] || die "$3 needs about $2 MB free on the disk of $(cd "$1" && pwd), there are $free MB"
}

# pip of the virtual environment, with the user's own settings (indexes, proxies, certificates).  Only
# PIP_USER and PIP_TARGET are taken away: they would install beside the environment, not into it.
pip() { env -u PIP_TARGET -u PIP_PREFIX PIP_USER=0 .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }

# find_python: sets $python to a Python 3.11 or newer, 3.11 first: the locks are made for it.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      # shellcheck disable=SC2034  # for the step that asked
      python=$candidate
      return
    fi
    [ "$candidate" != "${PYTHON:-}" ] || die "PYTHON=$PYTHON is not a Python 3.11 or newer"
  done
  return 1
}
