# SPDX-License-Identifier: Apache-2.0
"""A small file system of its own, for root where file systems may be mounted, that can be filled
and relieved."""

import os
import pathlib
import subprocess

PIECE = 1 << 20
TRIES = 100


def call(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0


class Disk:
    """At `mount`, and empty. `kind` says what it is; None: nothing may be mounted here, and the
    folder is as any other. An ext4 has its image beside it and syncs to the real disk; a tmpfs
    takes memory for what is in it, and no more when it is full."""

    def __init__(self, mount, mib, kinds=("ext4", "tmpfs")):
        self.mount = pathlib.Path(mount)
        self.mount.mkdir(exist_ok=True)
        self.mib = mib
        self.kind = None
        self.filler = self.mount / "filler"
        if self.mount.is_mount():  # a run that was killed left it
            assert call("umount", str(self.mount)), f"{self.mount} is still in use"
        if "ext4" in kinds and self._mount_image(self.mount.with_suffix(".image")):
            self.kind = "ext4 on a loop device"
        elif "tmpfs" in kinds and call("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs",
                                       str(self.mount)):
            self.kind = "tmpfs"

    def _mount_image(self, image):
        with open(image, "wb") as file:
            file.truncate(self.mib << 20)
        return call("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", str(image)) and \
            call("mount", "-o", "loop", str(image), str(self.mount))

    def fill(self):
        """To the last block."""
        if self.kind == "tmpfs":
            # It is never made smaller than what is in it, which may grow meanwhile.
            assert any(self._resize(self._used()) for _ in range(TRIES)), "it grows too fast"
        else:
            self._write_filler()

    def relieve(self):
        if self.kind == "tmpfs":
            assert self._resize(self.mib << 20)
        else:
            self.filler.unlink()

    def _resize(self, size):
        return call("mount", "-o", f"remount,size={size}", str(self.mount))

    def _used(self):
        state = os.statvfs(self.mount)
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    def _write_filler(self):
        descriptor = os.open(self.filler, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        piece = PIECE
        try:
            while piece >= 512:
                try:
                    os.write(descriptor, b"x" * piece)
                except OSError:
                    piece //= 2
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self):
        if self.kind is not None:
            assert call("umount", str(self.mount)), f"{self.mount} is still in use"
            self.kind = None
