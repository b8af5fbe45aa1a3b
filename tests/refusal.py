"""The system calls that the service's sandbox refuses (systemd's group @resources), refused to a process of a test.

``SCRIPT`` is the beginning of a program: from there on a change of limits or priorities gives EPERM.
"""

import platform
import subprocess
import sys

WHY = "the numbers of system calls are those of x86-64"

SCRIPT = """
import ctypes, struct
# Of classic BPF: load the number of the system call, compare it with each, and return "allow" or "EPERM".
# Source: linux/filter.h, linux/seccomp.h; `systemd-analyze syscall-filter @resources` and asm/unistd_64.h for these:
# ioprio_set, mbind, migrate_pages, move_pages, sched_setaffinity, sched_setattr, sched_setparam, sched_setscheduler,
# set_mempolicy, set_mempolicy_home_node, setpriority, setrlimit, getrlimit, prlimit64.
calls = (251, 237, 256, 279, 203, 314, 142, 144, 238, 450, 141, 160, 97, 302)
code = [(0x20, 0, 0, 0)]
code += [(0x15, len(calls) - at, 0, number) for at, number in enumerate(calls)]
code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
filter_ = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filter_)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0
assert prctl(22, 2, program, 0, 0) == 0, "no seccomp here"
"""


def possible() -> bool:
    """Whether this machine can refuse them."""
    if platform.machine() != "x86_64":
        return False
    script = f"{SCRIPT}\nimport os\ntry:\n    os.nice(1)\nexcept PermissionError:\n    raise SystemExit(7)"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 7
