# SPDX-License-Identifier: Apache-2.0
"""What the checks share: the files of a tree, C without its comments, and how a finding is told."""
import argparse
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

SKIPPED_FOLDERS = re.compile(r"^(\.(?!ci$).*|build.*|node_modules|__pycache__|dist)$")


def files(root, *endings):
    """Every file of the tree with one of the endings, sorted, without what was built or fetched."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not SKIPPED_FOLDERS.match(name))
        found += [Path(folder, name) for name in sorted(names) if name.endswith(endings)]
    return found


def scripts(root, interpreter=""):
    """Every file without an ending whose first line names an interpreter: this one, if given."""
    found = []
    for path in files(root, ""):
        if not path.suffix and path.is_file():
            with path.open("rb") as file:
                first = file.readline(200)
            if first.startswith(b"#!") and interpreter.encode() in first:
                found.append(path)
    return found


class Findings:
    """Collects findings as `file:line: [rule] what; mend: how` and ends the program."""

    def __init__(self, root):
        self.root = Path(root)
        self.lines = []

    def add(self, path, line, rule, what, mend):
        path = Path(path)
        shown = path.relative_to(self.root) if path.is_absolute() else path
        self.lines.append(f"{shown}:{line}: [{rule}] {what}; mend: {mend}")

    def finish(self):
        for line in self.lines:
            print(line)
        sys.exit(1 if self.lines else 0)


def root_from_arguments(description, parser=None):
    """--root, for the self-tests: the tree that is checked."""
    parser = parser or argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent,
                        help="the tree to check (default: this one)")
    arguments = parser.parse_args()
    arguments.root = arguments.root.resolve()
    return arguments


# C, read as far as the checks need: tokens that hide others, and functions.

HIDING = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.S | re.X)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """The same text with comments blank; every offset and line stays where it was."""
    return HIDING.sub(lambda m: _blank(m[0]) if m[0].startswith("/") else m[0], text)


def code_only(text):
    """Comments, the insides of literals and preprocessor lines blank; offsets and lines stay."""
    def hide(match):
        token = match[0]
        if token.startswith("/"):
            return _blank(token)
        return token[0] + _blank(token[1:-1]) + token[-1]

    text = HIDING.sub(hide, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: _blank(m[0]), text, flags=re.M)


@dataclass
class Function:
    name: str
    line: int         # of the first word of its head
    last_line: int    # of the closing brace, or of the semicolon
    head: str         # everything before the body
    parameters: list  # as written
    body: str         # between the braces; empty for a prototype
    body_line: int    # of the opening brace

    @property
    def lines(self):
        return self.last_line - self.line + 1


def closing(text, at, pair):
    """The offset of what closes the bracket at `at`, or -1."""
    depth = 0
    for i in range(at, len(text)):
        if text[i] == pair[0]:
            depth += 1
        elif text[i] == pair[1]:
            depth -= 1
            if depth == 0:
                return i
    return -1


def _split_parameters(text):
    parts, depth, begin = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append(text[begin:i])
            begin = i + 1
    parts = [part.strip() for part in parts + [text[begin:]]]
    return [part for part in parts if part not in ("", "void", "...")]


def _head_of(text):
    """(name, parameters) of a function's head, or None when the text is something else.

    The parameter list is the last bracket that follows a name in lower case: attributes such as
    PRINTF_LIKE(4, 5) and __attribute__((…)) come behind it, table macros before it.
    """
    found = None
    at = 0
    while True:
        match = re.compile(r"([A-Za-z_]\w*)\s*\(").search(text, at)
        if match is None:
            return found
        opening = match.end() - 1
        end = closing(text, opening, "()")
        if end < 0:
            return None
        name = match[1]
        if not name.startswith("__") and not re.fullmatch(r"[A-Z0-9_]+|_[A-Z]\w+", name):
            found = (name, _split_parameters(text[opening + 1:end]))
        at = end + 1


def _top_level(code):
    """(begin, end, opening brace or -1) of each thing outside braces that ends in ; or a body."""
    i = begin = 0
    while i < len(code):
        c = code[i]
        if c == "(":
            i = closing(code, i, "()")
            if i < 0:
                return
        elif c == "{":
            end = closing(code, i, "{}")
            if end < 0:
                return
            head = code[begin:i]
            if ")" in head and "=" not in head:
                yield begin, end, i
                begin = end + 1
            i = end
        elif c == ";":
            yield begin, i, -1
            begin = i + 1
        i += 1


# What stands before a function without being of it: blanks, and tables that need no semicolon.
LEADING = re.compile(r"\s*(?:[A-Z][A-Z0-9_]*\([^()]*\)[ \t]*\n\s*)*")


def functions(text):
    """The functions that are defined and the prototypes of a file, in order."""
    code = code_only(text)
    for begin, end, opening in _top_level(code):
        head = code[begin:opening if opening >= 0 else end]
        if re.match(r"\s*typedef\b", head) or ("=" in head and opening < 0) or "{" in head:
            continue
        named = _head_of(head)
        if named is None:
            continue
        start = begin + LEADING.match(head).end()
        yield Function(
            name=named[0], line=code.count("\n", 0, start) + 1,
            last_line=code.count("\n", 0, end) + 1, head=head, parameters=named[1],
            body=code[opening + 1:end] if opening >= 0 else "",
            body_line=code.count("\n", 0, opening) + 1 if opening >= 0 else 0)


def includes(text):
    """[(line, '"' or '<', path)]"""
    found = []
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            found.append((number, match[1], match[2]))
    return found


def has_waiver(text, word, line):
    """True when a comment `/* word: reason */` ends on `line` or on the line before it."""
    for match in re.finditer(r"/\*\s*" + word + r":\s*\S.*?\*/", text, re.S):
        if line - text.count("\n", 0, match.end()) - 1 in (0, 1):
            return True
    return False
