# SPDX-License-Identifier: Apache-2.0
"""Small made-up trees, and the tools run over them."""
import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def make(root, files):
    """Writes {path: text} below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def check(name, root, *arguments):
    """What tools/check-NAME says about a tree: a list of findings; [] means that it passed."""
    answer = subprocess.run([str(TOOLS / f"check-{name}"), "--root", str(root), *arguments],
                            capture_output=True, text=True)
    findings = answer.stdout.splitlines()
    assert answer.stderr == ""
    assert answer.returncode == (1 if findings else 0), answer.stdout
    return findings


def only(findings, *parts):
    """The one finding there is, which must name every part."""
    assert len(findings) == 1, findings
    for part in parts:
        assert part in findings[0], findings[0]


def load(name):
    """A tool as a module, for its functions."""
    sys.path.insert(0, str(TOOLS))
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(TOOLS / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module
