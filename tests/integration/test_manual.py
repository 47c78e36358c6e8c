# SPDX-License-Identifier: Apache-2.0
"""The manual and the completion that tools/gen-man and tools/gen-completion write.

tools/check-docs sees that they are those of the program; here man and the three shells take them.
"""

import os
import pathlib
import re
import subprocess

import pytest

import rig

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / "packaging"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_manual_is_whole_and_formats_without_a_warning():
    pages = sorted((PACKAGING / "man").iterdir())
    assert len(pages) >= 13
    done = run("man", "--warnings", "-E", "UTF-8", "-l", *pages,
               env=dict(os.environ, MANPAGER="cat", MANWIDTH="80"))
    assert done.stderr == ""
    found = run("lexgrog", *pages).stdout
    for page in pages:  # apropos finds it
        assert f'"{page.stem} - ' in found


BASH = """
source {script}
try() {{
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _turnout
    printf '%s\\n' "${{COMPREPLY[@]}}"
}}
"""
ZSH = """
compdef() {{ : }}
compadd() {{ shift; print -rl -- "$@" }}
_files() {{ print -rl -- *(N) }}
source {script}
try() {{ words=("$@") CURRENT=$#; _turnout }}
"""
FISH = "source {script}; complete -C "


def complete(shell, *words, folder):
    files = {"bash": "turnout.bash", "zsh": "_turnout", "fish": "turnout.fish"}
    script = str(PACKAGING / "completion" / files[shell])
    if shell == "fish":
        text = FISH.format(script=script) + f"'{' '.join(words)}'"
    else:
        text = (BASH if shell == "bash" else ZSH).format(script=script) + \
            "try " + " ".join(f"'{word}'" for word in words)
    done = run(shell, "-c", text, cwd=folder, env=dict(os.environ, HOME=str(folder)))
    assert done.stderr == ""
    beginning = words[-1]
    return {line.split("\t")[0] for line in done.stdout.splitlines()
            if line and line.startswith(beginning)}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_words_flags_values_and_files(shell, tmp_path):
    (tmp_path / "people.csv").touch()

    def offered(*words):
        return complete(shell, "turnout", *words, folder=tmp_path)

    listed = set(re.findall(r"^  ([a-z]+) ", rig.run("help").stdout, re.M))
    assert offered("") == listed and len(listed) >= 11
    assert offered("ser") == {"serve"}
    assert offered("key", "") == {"create", "list", "revoke"}
    assert offered("key", "create", "--scope", "") == {"admin", "scanner", "analyst", "metrics"}
    assert offered("control", "rep") == {"replay"}
    assert offered("control", "silence", "") >= {"add", "list", "end"}
    assert offered("control", "silence", "add", "--rea") == {"--reason"}
    assert offered("serve", "--auth", "") == {"required", "off"}
    assert offered("serve", "--take") == {"--takeover"}
    assert "people.csv" in offered("serve", "--config", "")
    assert "people.csv" in offered("import", "participants", "--event", "e", "")
    assert offered("serve", "--config", "x", "--de") == {"--demo"}
    assert {"config", "serve"} <= offered("help", "")
