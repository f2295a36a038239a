"""What one endpoint, or the configurator of a lesson, may use.

==============  =========================================  ==========================
limit           always                                     added when started by root
==============  =========================================  ==========================
processes       RLIMIT_NPROC inside the sandbox            pids control group
memory          RLIMIT_DATA per process, and a watchdog    memory control group
                on the sum of processes and disk
CPU             nothing hard                               CFS quota
disk            size and inodes of a tmpfs                 the same
==============  =========================================  ==========================

The watchdog looks twice a second, so memory can overshoot for that long. The kernel is shared:
this is a sandbox for teaching, not a wall against hostile code.
"""

PROCESSES = 256
MEMORY_BYTES = 512 * 1024 * 1024
CPU_PERCENT = 100
DISK_BYTES = 256 * 1024 * 1024
DISK_INODES = 32_768
OPEN_FILES = 4096
CONTROL_GROUP_SPARE_PROCESSES = 32
"""More than RLIMIT_NPROC, so that the group never hits the SSH server's own spare processes."""
SERVER_SPARE_PROCESSES = 16
"""What the SSH server keeps for itself, so that a learner can log in to end a fork bomb."""
