# SPDX-License-Identifier: Apache-2.0
"""tools/check-layers finds each kind of breach at its line, and passes a tree without any."""
from made_up import check, make, only

LAYERS = """\
# low to high
base:
io: base
app: base io

third jansson.h: base/json.c
third openssl/: io/*.c
"""

CLEAN = {
    "src/LAYERS": LAYERS,
    "meson.build": "executable('x', 'src/app/main.c')\n",
    "src/base/meson.build": "unit_sources += files('slice.c', 'json.c')\n",
    "src/base/slice.h": "#include <stddef.h>\nstruct slice { const char *at; size_t len; };\n",
    "src/base/slice.c": '#include "base/slice.h"\n\n#include <string.h>\n',
    "src/base/json.c": '#include "base/slice.h"\n\n#include <jansson.h>\n#include <math.h>\n',
    "src/io/meson.build": "unit_sources += files('loop.c')\n",
    "src/io/loop.h": '#include "base/slice.h"\nstruct slice loop_name(void);\n',
    "src/io/loop_priv.h": '#include "io/loop.h"\n',
    "src/io/loop.c": '#include "io/loop.h"\n\n#include "io/loop_priv.h"\n\n'
                     '#include <openssl/evp.h>\n',
    "src/app/main.c": '#include "io/loop.h"\n#include "base/slice.h"\n\n#include <sys/stat.h>\n',
    "tests/unit/io/test_loop.c": '#include "io/loop_priv.h"\n\n#include <cmocka.h>\n',
}




def findings(root, changes):
    return check("layers", make(root, {**CLEAN, **changes}))


def test_a_tree_that_keeps_the_rule_passes(tmp_path):
    assert findings(tmp_path, {}) == []


def test_an_include_that_points_upward_is_found(tmp_path):
    text = '#include "base/slice.h"\n#include "io/loop.h"\n'
    only(findings(tmp_path, {"src/base/slice.c": text}),
         "src/base/slice.c:2: [layers] base may not include io")


def test_an_include_in_a_comment_is_none(tmp_path):
    text = '#include "base/slice.h"\n/* never:\n#include "io/loop.h"\n*/\n'
    assert findings(tmp_path, {"src/base/slice.c": text}) == []


def test_a_third_party_header_outside_its_files_is_found(tmp_path):
    only(findings(tmp_path, {"src/app/main.c": "#include <jansson.h>\n"}),
         "src/app/main.c:1: [third-party]", "base/json.c")


def test_a_folder_of_third_party_headers_is_held_too(tmp_path):
    only(findings(tmp_path, {"src/app/main.c": "#include <openssl/rand.h>\n"}),
         "src/app/main.c:1: [third-party]", "io/*.c")


def test_an_unknown_header_must_be_named_in_layers(tmp_path):
    only(findings(tmp_path, {"src/app/main.c": "#include <zlib.h>\n"}),
         "src/app/main.c:1: [third-party]", "third zlib.h")


def test_a_header_not_included_by_its_path_from_src_is_found(tmp_path):
    only(findings(tmp_path, {"src/app/main.c": '#include "../io/loop.h"\n'}),
         "src/app/main.c:1: [include-path]")


def test_a_private_header_of_another_unit_is_found(tmp_path):
    only(findings(tmp_path, {"src/app/main.c": '#include "io/loop_priv.h"\n'}),
         "src/app/main.c:1: [private] io/loop_priv.h is private to io")


def test_a_private_header_in_another_units_test_is_found(tmp_path):
    only(findings(tmp_path, {"tests/unit/app/test_main.c": '#include "io/loop_priv.h"\n'}),
         "tests/unit/app/test_main.c:1: [private]", "tests/unit/io")


def test_the_own_header_comes_first(tmp_path):
    text = '#include "base/slice.h"\n#include "io/loop.h"\n'
    only(findings(tmp_path, {"src/io/loop.c": text}), "src/io/loop.c:1: [include-order]",
         'include "io/loop.h" first')


def test_project_headers_come_before_others(tmp_path):
    text = '#include "io/loop.h"\n#include <stdio.h>\n#include "base/slice.h"\n'
    only(findings(tmp_path, {"src/app/main.c": text}), "src/app/main.c:3: [include-order]")


def test_headers_that_include_each_other_are_found_once(tmp_path):
    changes = {
        "src/base/a.h": '#ifndef A\n#define A\n#include "base/b.h"\n#endif\n',
        "src/base/b.h": '#ifndef B\n#define B\n#include "base/a.h"\n#endif\n',
    }
    only(findings(tmp_path, changes), "[cycle]", "base/a.h -> base/b.h -> base/a.h")


def test_a_header_that_does_not_compile_alone_is_found(tmp_path):
    only(findings(tmp_path, {"src/base/bad.h": "int fine;\nsize_t length(void);\n"}),
         "src/base/bad.h:2: [alone]", "size_t")


def test_a_unit_below_one_it_includes_is_found(tmp_path):
    only(findings(tmp_path, {"src/LAYERS": "base: io\nio:\napp: base io\nthird jansson.h: base/*\n"
                                           "third openssl/: io/*\n",
                             "src/io/loop.h": "int loop_count(void);\n"}),
         "src/LAYERS:1: [layers] base includes io")


def test_a_unit_that_layers_does_not_name_is_found(tmp_path):
    only(findings(tmp_path, {"src/extra/thing.h": "int thing_count(void);\n"}),
         "src/extra/thing.h:1: [layers] the unit extra")


def test_a_source_that_is_not_built_is_found(tmp_path):
    only(findings(tmp_path, {"src/base/lost.c": '#include "base/slice.h"\n'}),
         "src/base/lost.c:1: [built]", "src/base/meson.build")
