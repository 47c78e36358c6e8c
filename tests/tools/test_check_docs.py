# SPDX-License-Identifier: Apache-2.0
"""tools/check-docs finds stale pages, dead links and missing licence lines; and the error page."""
import pytest

from made_up import ROOT, SPDX, check, load, make, only

GENERATOR = """#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
mkdir -p "$1/docs"
printf 'one\\ntwo\\n' >"$1/docs/page.md"
"""


def with_generator(root, text=GENERATOR):
    make(root, {"tools/gen-page": text})
    (root / "tools/gen-page").chmod(0o755)
    return root


def test_a_page_that_agrees_passes(tmp_path):
    make(with_generator(tmp_path), {"docs/page.md": "one\ntwo\n", "src/a.c": SPDX})
    assert check("docs", tmp_path) == []


def test_a_stale_page_is_found_at_the_line_where_it_differs(tmp_path):
    make(with_generator(tmp_path), {"docs/page.md": "one\n2\n"})
    only(check("docs", tmp_path), "docs/page.md:2: [generated]", "tools/gen-page")


def test_a_page_that_was_never_written_is_found(tmp_path):
    only(check("docs", with_generator(tmp_path)), "docs/page.md:1: [generated] is not there")


@pytest.mark.parametrize("body, said", [("echo broken >&2; exit 3", "ended with 3: broken"),
                                        ("exit 0", "wrote nothing")])
def test_a_generator_that_fails_is_found(tmp_path, body, said):
    text = "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n" + body + "\n"
    only(check("docs", with_generator(tmp_path, text)), "tools/gen-page:1: [generator]", said)


@pytest.mark.parametrize("link", [
    "[x](there.md)", "[x](#first-part)", "[x](there.md#the-end)", "[x](deep/)", "[x](/docs/a.md)",
    "[x](https://example.org/y)", "[x](mailto:a@example.org)", "`[x](gone.md)`",
    "```\n[x](gone.md)\n```", "[ref]: there.md", "![x](deep/picture.svg)"])
def test_links_that_lead_somewhere_pass(tmp_path, link):
    make(tmp_path, {"docs/a.md": f"# First `part`\n\n{link}\n", "docs/deep/picture.svg": "",
                    "docs/there.md": "## The end\n"})
    assert check("docs", tmp_path) == []


@pytest.mark.parametrize("link", [
    "[x](gone.md)", "[x](#second)", "[x](there.md#gone)", "[ref]: gone.md", "![x](gone.png)"])
def test_links_that_lead_nowhere_are_found(tmp_path, link):
    make(tmp_path, {"docs/a.md": f"# First\n\n{link}\n", "docs/there.md": "# There\n"})
    only(check("docs", tmp_path), "docs/a.md:3: [link]")


@pytest.mark.parametrize("name, text", [("src/a.c", "int x;\n"), ("tools/run", "#!/bin/sh\n"),
                                        ("web/a.ts", "export {}\n")])
def test_a_source_without_its_licence_line_is_found(tmp_path, name, text):
    only(check("docs", make(tmp_path, {name: text})), f"{name}:1: [spdx]")


def test_what_is_built_or_fetched_is_left_alone(tmp_path):
    make(tmp_path, {"build/a.c": "", "node_modules/a.js": "", ".git/hook.sh": "#!/bin/sh\n"})
    assert check("docs", tmp_path) == []


def test_the_error_page_has_a_row_for_every_error_that_is_answered():
    generator = load("gen-error-docs")
    text = (ROOT / "src/base/err.h").read_text()
    names = [row[0] for row in generator.rows(text)]
    assert len(names) == text.split("enum err_e")[0].count("    X(")
    assert generator.page(text).count("\n| `") == len(names) - len(generator.NOT_ANSWERED)
    assert "| `unknown_gate` | 404 | no |" in generator.page(text)
