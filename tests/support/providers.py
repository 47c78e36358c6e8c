# SPDX-License-Identifier: Apache-2.0
"""A provider of nodes in a process of its own (provider_probe), for tests to talk to."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TURNOUT_BIN", ROOT / "build" / "turnout"))
PROBE = os.environ.get("PROVIDER_PROBE", str(BIN.parent / "tests" / "provider_probe"))


class Provider:
    def __init__(self, kind, /, env=None, **options):
        words = [f"{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen([PROBE, kind, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **(env or {})))
        self.opened, self.detail = self.hear()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "the provider ended"
        words, _, self.detail = line.rstrip("\n").partition("|")
        return words, self.detail

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.hear()[0]

    def look(self):
        """(desired, running, ready, busy), or the code of what went wrong."""
        code, *numbers = self.say("look").split()
        return code if code != "ok" else tuple(int(number) for number in numbers)

    def scale(self, before, after, *victims):
        return self.say(" ".join(["scale", str(before), str(after), *victims]))

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)
