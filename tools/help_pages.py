# SPDX-License-Identifier: Apache-2.0
"""What `turnout help` and every `--help` say, taken apart, for the manual and for completion.

The program is build/turnout, or the one that TURNOUT_BIN names.
"""
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"^(?: +|Further: )turnout ((?:[a-z-]+ )*?[a-z-]+)(?= {2,}| [\[<A-Z-]| *$)")
FLAG = re.compile(r"^  (--[a-z-]+)(?: (\S+))? {2,}(\S.*)$")


@dataclass
class Flag:
    name: str
    value: str     # what help calls it; empty: a switch
    text: list     # lines
    words: list = field(default_factory=list)  # what the value may be, where help lists it


@dataclass
class Page:
    name: str      # "serve", "key create"
    summary: str
    usage: str     # empty for a group
    details: str
    flags: list
    below: list    # pages of its words


def program():
    path = Path(os.environ.get("TURNOUT_BIN", ROOT / "build" / "turnout"))
    if not os.access(path, os.X_OK):
        sys.exit(f"no program at {path}: make build, or set TURNOUT_BIN")
    return path


def say(*words):
    return subprocess.run([program(), *words], check=True, capture_output=True, text=True).stdout


def settings():
    return json.loads(say("help", "config", "--json"))["settings"]


def read_flags(text, usage):
    flags = []
    for line in text.splitlines():
        found = FLAG.match(line)
        if found:
            flags.append(Flag(found[1], found[2] or "", [found[3]]))
        elif line.strip() and flags:
            flags[-1].text.append(line.strip())
    for flag in flags:
        listed = flag.value if "|" in flag.value else \
            "".join(re.findall(rf"{flag.name} ([a-z0-9-]+(?:\|[a-z0-9-]+)+)", usage)[:1])
        flag.words = listed.split("|") if listed else []
    return flags


def words_below(name, text):
    """"create" and so on, where the help of "key" names `turnout key create`."""
    found = []
    for line in text.splitlines():
        match = NAMED.match(line)
        if match and match[1].startswith(name + " "):
            word = match[1].removeprefix(name + " ").split()[0]
            found += [word] if word not in found else []
    return found


def read_page(name):
    text = say(*name.split(), "--help")
    head, _, rest = text.partition("\n\n")
    title, _, summary = head.partition(": ")
    if title != f"turnout {name}":
        sys.exit(f"turnout {name} --help begins with {head!r}: expected its name and a colon")
    body, _, flags = rest.partition("\nFlags:\n")
    usage, _, details = body.partition("\n\n")
    usage = re.sub(r"^Usage: ?", "", usage)
    is_group = usage.startswith("\n")
    below = words_below(name, text if is_group else details)
    details = re.sub(r"\n*Each has its own --help\.\n*$", "", details)
    return Page(name, summary.strip(), "" if is_group else usage.strip(), details.strip("\n"),
                read_flags(flags, usage), [read_page(f"{name} {word}") for word in below])


def commands():
    """A page for each command that `turnout help` lists."""
    names = re.findall(r"^  ([a-z]+) +\S", say("help"), re.M)
    if not names:
        sys.exit("turnout help lists no commands")
    return [read_page(name) for name in names]


def all_pages(pages):
    for page in pages:
        yield page
        yield from all_pages(page.below)


def target_folder():
    return Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
