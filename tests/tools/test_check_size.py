# SPDX-License-Identifier: Apache-2.0
"""tools/check-size measures functions, parameters and files, and knows a waiver by its reason."""
import pytest

from made_up import SPDX, check, load, make, only

WAIVER = "/* size: one table, and nothing in it repeats */\n"


def function(lines, head="static int long_one(int a)"):
    return f"{head} {{\n" + "    a++;\n" * (lines - 2) + "}\n"


def findings(root, text, name="src/base/a.c"):
    return check("size", make(root, {name: text}))


def test_a_function_of_seventy_lines_passes_and_one_more_is_found(tmp_path):
    assert findings(tmp_path, SPDX + function(70)) == []
    only(findings(tmp_path, SPDX + "\n" + function(71)),
         "src/base/a.c:3: [function-size] long_one has 71 lines")


def test_a_reason_on_the_line_before_waives_a_function(tmp_path):
    assert findings(tmp_path, SPDX + WAIVER + function(71)) == []


@pytest.mark.parametrize("comment", ["/* size: */\n", "/* long, but size matters */\n",
                                     WAIVER + "\n\n"])
def test_a_waiver_without_reason_or_elsewhere_waives_nothing(tmp_path, comment):
    only(findings(tmp_path, SPDX + "int x;\n" * 20 + comment + function(71)), "[function-size]")


def test_five_parameters_pass_and_six_are_found(tmp_path):
    five = "void f(int a, int (*b)(int, int, int), char c[static 4], void *d, ...);\n"
    assert findings(tmp_path, five, "src/base/a.h") == []
    only(findings(tmp_path, "int x;\nvoid g(int a, int b, int c,\n  int d, int e, int f);\n",
                  "src/base/a.h"), "src/base/a.h:2: [parameters] g has 6 parameters")


def test_a_waived_prototype_speaks_for_its_definition(tmp_path):
    head = "int f(int a, int b, int c, int d, int e, int f)"
    make(tmp_path, {"src/base/a.h": WAIVER + head + ";\n"})
    assert findings(tmp_path, head + " {\n    return a;\n}\n") == []


def test_a_file_of_eight_hundred_lines_passes_and_one_more_is_found(tmp_path):
    assert findings(tmp_path, "int x;\n" * 800) == []
    only(findings(tmp_path, "int x;\n" * 801), "src/base/a.c:801: [file-size] 801 lines")


def test_a_reason_at_its_top_waives_a_file(tmp_path):
    assert findings(tmp_path, SPDX + WAIVER + "int x;\n" * 801) == []


def test_functions_are_found_whatever_surrounds_them():
    text = '''
#define BODY(x) { if (x) { return; } }
static const struct row rows[] = {
#define X(name) {name, "}"},
    TABLE(X)
#undef X
};
typedef void (*done_fn)(int status);
struct loop { void (*fn)(struct loop *loop); };
#define X(name) int cmd_##name(int argc);
TABLE(X)
#undef X
/* not_this(int a) { */
MAY_BLOCK static int first(const char *text, int n) {
    return text[n] == '{' ? '"' : '\\'';
}
enum err_e second(struct problem *p, const char *format, ...) PRINTF_LIKE(2, 3);
_Static_assert(sizeof(int) == 4, "int");
_Noreturn void third(void) {
    for (;;) {
    }
}
'''
    functions = load("tree.py").functions(text)
    found = [(f.name, len(f.parameters), f.line, bool(f.body)) for f in functions]
    assert found == [("first", 2, 14, True), ("second", 2, 17, False), ("third", 0, 19, True)]
