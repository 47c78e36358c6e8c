# SPDX-License-Identifier: Apache-2.0
"""tools/check-style finds what a machine can see, and mends what needs no decision."""
import subprocess

import pytest

from made_up import TOOLS, check, make, only


def mend(root):
    subprocess.run([str(TOOLS / "check-style"), "--root", str(root), "--mend"], check=True,
                   capture_output=True)


def findings(root, text, name="src/base/a.c"):
    return check("style", make(root, {name: text}))


@pytest.mark.parametrize("line, rule", [
    ("\tint x;", "tab"), ("int x; ", "blank-at-end"), ("int " + "x" * 97 + ";", "columns")])
def test_a_line_that_breaks_a_rule_is_found(tmp_path, line, rule):
    only(findings(tmp_path, f"int y;\n{line}\n"), f"src/base/a.c:2: [{rule}]")


@pytest.mark.parametrize("text", ["int x;", "int x;\n\n"])
def test_a_file_ends_with_one_newline(tmp_path, text):
    only(findings(tmp_path, text), "[end]")


@pytest.mark.parametrize("line, columns", [("é" * 100, 100), ("가" * 50, 100), ("가" * 51, 102)])
def test_columns_are_those_of_a_screen(tmp_path, line, columns):
    found = findings(tmp_path, line + "\n", "tools/a.py")
    assert bool(found) == (columns > 100)


@pytest.mark.parametrize("branch", [
    "if (a) b();", "if (a(b))\n        b();", "for (;;) b();", "while (a) b();",
    "if (a) {\n    } else b();", "do b(); while (a);"])
def test_a_branch_without_braces_is_found(tmp_path, branch):
    assert "[braces]" in findings(tmp_path, f"void f(void) {{\n    {branch}\n}}\n")[0]


def test_branches_with_braces_pass(tmp_path):
    text = """\
#define CHECK(x) \\
    do { \\
        if (x) { \\
            return; \\
        } \\
    } while (0)
void f(void) {
    if (a) {
    } else if (b) {
    } else {
    }
    do {
        c("if (x) y");
    } while (a);
    for (;;) {
    }
}
"""
    assert findings(tmp_path, text) == []


def test_a_makefile_keeps_its_tabs_and_prose_its_width(tmp_path):
    make(tmp_path, {"Makefile": "all:\n\tcc\n", "docs/a.md": "x" * 200 + "\n"})
    assert check("style", tmp_path) == []


def test_mending_leaves_nothing_that_it_could_mend(tmp_path):
    make(tmp_path, {"src/a.c": "\tint x; \n\n\n", "tools/run": "#!/bin/sh\n\techo\n"})
    mend(tmp_path)
    assert check("style", tmp_path) == []
    assert (tmp_path / "src/a.c").read_text() == "    int x;\n"


def test_mending_fills_a_comment_and_keeps_its_paragraphs(tmp_path):
    long = "word " * 21 + "end."
    make(tmp_path, {"src/a.c": f"/*\n * {long}\n * More.\n * Thread: any.\n *\n * Last.\n */\n"})
    mend(tmp_path)
    assert check("style", tmp_path) == []
    lines = (tmp_path / "src/a.c").read_text().splitlines()
    assert lines[2] == " * word word end. More."
    assert lines[3:] == [" * Thread: any.", " *", " * Last.", " */"]


def test_mending_keeps_the_closing_mark_off_a_line_of_its_own(tmp_path):
    make(tmp_path, {"src/a.c": "    /* " + "x" * 50 + " " + "y" * 41 + " */\n"})
    mend(tmp_path)
    assert (tmp_path / "src/a.c").read_text().endswith("\n     * " + "y" * 41 + " */\n")


@pytest.mark.parametrize("line", ["a --> b  " + "-" * 100, "1. " + "word " * 30])
def test_mending_leaves_diagrams_and_lists_alone(tmp_path, line):
    text = f"/*\n * {line.strip()}\n * b\n */\n"
    make(tmp_path, {"src/a.c": text})
    mend(tmp_path)
    assert (tmp_path / "src/a.c").read_text() == text
