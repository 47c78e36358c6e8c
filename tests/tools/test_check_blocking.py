# SPDX-License-Identifier: Apache-2.0
"""tools/check-blocking finds what would stall a loop, also through a function that hides it."""
import pytest

from made_up import check, make, only

STORE_H = "MAY_BLOCK int store_run(int op);\nvoid store_submit(int op);\n"


def findings(root, files):
    return check("blocking", make(root, {"src/store/store.h": STORE_H, **files}))


def in_function(line, head="void handle(int op)"):
    return head + " {\n    " + line + "\n}\n"


@pytest.mark.parametrize("area", ["http/a.c", "api/a.c", "checkin/a.c", "cache/a.c", "io/loop.c"])
def test_a_blocking_call_on_a_loop_is_found(tmp_path, area):
    only(findings(tmp_path, {f"src/{area}": in_function("sleep(1);")}),
         f"src/{area}:2: [blocking] handle runs on a loop and calls sleep")


def test_a_call_of_a_function_marked_may_block_is_found(tmp_path):
    only(findings(tmp_path, {"src/api/a.c": in_function("return store_run(op);")}), "store_run")


def test_elsewhere_and_without_blocking_calls_nothing_is_found(tmp_path):
    files = {"src/store/a.c": in_function("fsync(op);", "static void put(int op)"),
             "src/api/a.c": in_function("store_submit(op);")}
    assert findings(tmp_path, files) == []


def test_a_function_marked_may_block_may(tmp_path):
    files = {"src/http/a.h": "MAY_BLOCK int listen_on(int op);\n",
             "src/http/a.c": in_function("getaddrinfo(op);", "int listen_on(int op)")}
    assert findings(tmp_path, files) == []


def test_a_public_function_that_blocks_without_saying_so_is_seen_through(tmp_path):
    files = {"src/store/a.c": in_function("fsync(op);", "static void flush(int op)")
             + in_function("flush(op);", "void store_save(int op)"),
             "src/api/a.c": in_function("store_save(op);")}
    only(findings(tmp_path, files), "src/api/a.c:2:", "store_save", "(it calls flush)")


def test_a_static_name_means_something_in_its_file_only(tmp_path):
    files = {"src/store/a.c": in_function("fsync(op);", "static void finish(int op)"),
             "src/api/a.c": in_function("op++;", "static void finish(int op)")
             + in_function("finish(op);")}
    assert findings(tmp_path, files) == []


def test_members_strings_and_comments_are_no_calls(tmp_path):
    body = 'vtable->open(op); queue.wait(op); log("sleep(1)"); /* fsync(1) */'
    assert findings(tmp_path, {"src/api/a.c": in_function(body)}) == []


def test_poll_that_only_looks_does_not_wait(tmp_path):
    assert findings(tmp_path, {"src/api/a.c": in_function("poll(&p, 1, 0);")}) == []
    only(findings(tmp_path, {"src/api/a.c": in_function("poll(&p, 1, 10);")}), "calls poll")


def test_a_reason_waives_one_call(tmp_path):
    body = "/* blocks: the loop has ended */\n    thrd_join(op);\n\n    thrd_join(op);"
    only(findings(tmp_path, {"src/io/loop.c": in_function(body)}), "src/io/loop.c:5:")


def test_the_name_of_a_static_function_counts_in_its_file_only(tmp_path):
    files = {"src/app/a.c": in_function("sleep(1);", "static MAY_BLOCK void run(int op)"),
             "src/api/a.c": in_function("op++;", "static void run(int op)") +
             in_function("run(op);")}
    assert findings(tmp_path, files) == []
