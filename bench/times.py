# SPDX-License-Identifier: Apache-2.0
"""Where the minutes of a run go: of each scenario, in all and before it could measure."""

import contextlib
import sys
import time


class Times:
    """Of one set. Times are told and kept, and nothing is judged by them."""

    def __init__(self):
        self.begun = time.monotonic()
        self.rows = []
        self._depth = 0
        self._prepared_s = 0.0

    @contextlib.contextmanager
    def scenario(self, name):
        print(f"── {name}", file=sys.stderr, flush=True)
        begun, self._prepared_s = time.monotonic(), 0.0
        yield
        row = {"name": name, "took_s": round(time.monotonic() - begun, 1),
               "prepared_s": round(self._prepared_s, 1)}
        self.rows.append(row)
        print(f"   {name} took {row['took_s']:.0f} s, {row['prepared_s']:.0f} of them to prepare",
              file=sys.stderr, flush=True)

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
        return {"took_s": round(time.monotonic() - self.begun, 1), "scenarios": self.rows}


def summary(sets):
    """[(name of the set, its document)] as lines: minutes of each and in all."""
    lines = [f"{name:9} {document['took_s'] / 60:5.1f} min" for name, document in sets]
    whole = sum(document["took_s"] for _, document in sets)
    return "\n".join([*lines, f"{'in all':9} {whole / 60:5.1f} min"])
