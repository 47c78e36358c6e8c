# SPDX-License-Identifier: Apache-2.0
"""A control group with a limit of memory for some processes and whom they start, below our own, by
cgroup v1 or v2. What a process used before it came in is not counted."""

import contextlib
import os
import pathlib
import re
import time


class Unavailable(Exception):
    """Groups cannot be made here: not root, or a container's are read-only."""


def _own_folder():
    """(folder of our own group where memory is limited, the version)."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    paths = dict(line.split(":", 2)[1:] for line in
                 pathlib.Path("/proc/self/cgroup").read_text().splitlines())
    for root, mount, kind, words in re.findall(
            r"^\S+ \S+ \S+ (\S+) (\S+) .* - (cgroup2?) \S+ (\S+)$", mounts, re.M):
        is_old = kind == "cgroup"
        path = paths.get("memory" if is_old else "")
        if path is None or (is_old and "memory" not in words.split(",")):
            continue
        below = path.removeprefix(root) if root != "/" else path
        folder = pathlib.Path(mount + "/" + below.lstrip("/"))
        if is_old or "memory" in (folder / "cgroup.controllers").read_text().split():
            return folder, 1 if is_old else 2
    raise Unavailable("no control group limits memory here")


class MemoryGroup:
    def __init__(self, name, limit):
        own, self.version = _own_folder()
        self.folder = own / f"turnout-{os.getpid()}-{name}"
        self.limit = limit
        try:
            if self.version == 2:
                (own / "cgroup.subtree_control").write_text("+memory")
            self.folder.mkdir()
            self._write("memory.limit_in_bytes" if self.version == 1 else "memory.max", limit)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            raise Unavailable(f"{self.folder}: {error.strerror}") from None

    def _write(self, name, value):
        (self.folder / name).write_text(str(value))

    def add(self, pid):
        self._write("cgroup.procs", pid)

    def pids(self):
        return [int(word) for word in (self.folder / "cgroup.procs").read_text().split()]

    def percent(self):
        """As turnout counts: files that nobody has used lately do not."""
        used, cold = ("memory.usage_in_bytes", "total_inactive_file") if self.version == 1 else \
            ("memory.current", "inactive_file")
        stat = (self.folder / "memory.stat").read_text()
        found = re.search(rf"^{cold} (\d+)$", stat, re.M)
        return 100 * (int((self.folder / used).read_text()) - int(found[1])) / self.limit

    def remove(self, seconds=10):
        """Once its processes have ended."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.folder.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
