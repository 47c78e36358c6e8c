#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Becomes another program that sees little of this machine: run by `unshare --mount --net`.

  enter.py FOLDER CGROUP,… PROGRAM [ARGUMENT…]

The mounts and the network are the namespace's own already. What it is to leave alone is covered
here: /run and /tmp are empty, FOLDER is where it was and at /run/turnout. It joins the control
groups that were made for it, and gets SIGTERM when whoever started it ends.
"""

import ctypes
import fcntl
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys

SIOCSIFFLAGS, IFF_UP_AND_RUNNING, PR_SET_PDEATHSIG = 0x8914, 0x41, 1


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def cover(folder):
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/run")
    os.chmod("/run", 0o755)
    pathlib.Path("/run/turnout").mkdir()
    mount("--bind", folder, "/run/turnout")
    for place in ("/tmp", "/etc/docker"):
        if pathlib.Path(place).is_dir():
            mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", place)
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    mount("--bind", "/run/turnout", folder)
    # a system's manager makes these; a user's asks for the first, and as root for the rest
    for name in ("system", "inaccessible/dir"):
        pathlib.Path("/run/systemd", name).mkdir(parents=True)
    pathlib.Path("/run/systemd/inaccessible/reg").touch()
    # where systemd complains, whatever its standard error is
    if pathlib.Path("/dev/console").exists():
        mount("--bind", f"{folder}/console", "/dev/console")


def loopback_up():
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP_AND_RUNNING))


def main():
    folder, groups, *command = sys.argv[1:]
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("whoever started this has ended")
    for group in groups.split(","):
        (pathlib.Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    cover(folder)
    loopback_up()
    os.chdir(folder)
    os.execvp(command[0], command)


main()
