# SPDX-License-Identifier: Apache-2.0
"""tools/check-python finds names that would only be missed when their line runs."""
import pytest

from made_up import check, make, only

SCRIPT = "#!/usr/bin/python3\n"


def findings(root, text, name="tests/a.py"):
    return check("python", make(root, {name: text}))


@pytest.mark.parametrize("text, part", [
    ("def f():\n    return socket.gethostname()\n", "tests/a.py:2: [python] undefined name"),
    ("x = 1\nimport os\n", "tests/a.py:2: [python] 'os' imported but unused"),
    ("x = 1\ny = (\n", "tests/a.py:2: [python]")])
def test_what_is_wrong_is_found(tmp_path, text, part):
    only(findings(tmp_path, text), part)


def test_scripts_without_an_ending_are_read_if_they_are_python(tmp_path):
    only(findings(tmp_path, SCRIPT + "print(x)\n", "tools/a"), "tools/a:2: [python]")
    assert findings(tmp_path, "#!/bin/sh\nprint(x)\n", "tools/a") == []


def test_what_is_whole_is_left_in_peace(tmp_path):
    assert findings(tmp_path, "import os\n\nprint(os.getpid())\n") == []
