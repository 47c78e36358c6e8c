# SPDX-License-Identifier: Apache-2.0
"""Where the minutes of a run go: of each scenario, in all and before it could measure; and how far
a run is."""

import contextlib
import sys
import time


def say(text):
    print(text, file=sys.stderr, flush=True)


class Times:
    """Of one set. Times are told and kept, and nothing is judged by them."""

    def __init__(self):
        self.rows = []
        self._depth = 0
        self._prepared_s = 0.0

    @contextlib.contextmanager
    def scenario(self, name):
        say(f"── {name}")
        begun, self._prepared_s = time.monotonic(), 0.0
        yield
        row = {"name": name, "took_s": round(time.monotonic() - begun, 1),
               "prepared_s": round(self._prepared_s, 1)}
        self.rows.append(row)
        say(f"   {name} took {row['took_s']:.0f} s, {row['prepared_s']:.0f} of them to prepare")

    @contextlib.contextmanager
    def preparing(self):
        """Data, builds and servers that a measurement needs and that are none."""
        begun = time.monotonic()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._prepared_s += time.monotonic() - begun

    def document(self):
        return {"took_s": round(sum(row["took_s"] for row in self.rows), 1),
                "scenarios": self.rows}


class Progress:
    """Of a whole run. `expected` is {set: seconds that it took the last time}, of those known."""

    def __init__(self, sets, expected):
        self.begun = time.monotonic()
        self.sets, self.expected = list(sets), expected
        self.took = []

    def begin(self, name):
        at = self.sets.index(name)
        known = [self.expected[each] for each in self.sets[at:] if each in self.expected]
        text = f"═══ {name}: set {at + 1} of {len(self.sets)}"
        if name in self.expected:
            text += f", {minutes(self.expected[name])} the last time"
        text += f"; {minutes(time.monotonic() - self.begun)} gone"
        if known:
            text += f", about {minutes(sum(known))} to go"
        say(text)

    def end(self, name, document):
        self.took.append((name, document["took_s"]))

    def summary(self):
        """Minutes of each set, and of the whole run by the clock."""
        lines = [f"{name:9} {seconds / 60:5.1f} min" for name, seconds in self.took]
        whole = (time.monotonic() - self.begun) / 60
        return "\n".join([*lines, f"{'in all':9} {whole:5.1f} min"])


def minutes(seconds):
    return f"{seconds / 60:.1f} min"
