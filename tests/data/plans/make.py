#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes made/*.json: plans in the words of PostgreSQL 12 to 18 that the server of capture.py does
not print, or not by itself. Short nodes: an absent key is a case of its own."""
import json
import pathlib

INTO = pathlib.Path(__file__).resolve().parent / "made"


def node(kind, rows, actual=None, loops=1, ms=1.0, plans=(), **keys):
    made = {"Node Type": kind, "Plan Rows": rows}
    if actual is not None:
        made |= {"Actual Total Time": ms, "Actual Rows": actual, "Actual Loops": loops}
    made |= {key.replace("_", " "): value for key, value in keys.items()}
    if plans:
        made["Plans"] = list(plans)
    return made


def outer(made):
    return made | {"Parent Relationship": "Outer"}


def inner(made):
    return made | {"Parent Relationship": "Inner"}


def member(made):
    return made | {"Parent Relationship": "Member"}


def scan(table, rows, actual=None, kind="Seq Scan", **keys):
    return node(kind, rows, actual, **{"Relation_Name": table, "Alias": table} | keys)


def write(name, plan, **keys):
    statement = {"Plan": plan} | {key.replace("_", " "): value for key, value in keys.items()}
    (INTO / f"{name}.json").write_text(json.dumps([statement], indent=1) + "\n")


INTO.mkdir(exist_ok=True)

# Version 18: fractional rows. 0.4 rows a loop are 400, not none.
write("healthy_18_fractional_rows", node("Nested Loop", 390, 400.0, ms=4, plans=[
    outer(scan("gates", 1000, 1000.0, Disabled=False)),
    inner(scan("scan_log", 1, 0.4, "Index Scan", loops=1000, ms=0.003, Index_Name="scan_log_pkey",
               Index_Cond="(id = gates.id)", Index_Searches=1000))],
    Join_Type="Inner"), Execution_Time=5.0, Planning_Time=0.2)
# Version 17: InitPlan and SubPlan names, JIT with nested generation times, MERGE with RETURNING.
write("jit_17", scan("scan_log", 100000, 100000, ms=80), Execution_Time=100.0, Planning_Time=1.0,
    JIT={
    "Functions": 12, "Options": {"Inlining": True},
    "Timing": {"Generation": {"Deform": 1.0, "Total": 2.0}, "Inlining": 10.0, "Optimization": 30.0,
               "Emission": 18.0, "Total": 60.0}})
write("jit_17_near", scan("scan_log", 100000, 100000, ms=80), Execution_Time=100.0,
    Planning_Time=1.0,
      JIT={"Functions": 2, "Timing": {"Generation": {"Deform": 0.1, "Total": 0.3}, "Total": 20.0}})
write("healthy_17_merge", node("ModifyTable", 100, 90, Operation="Merge", Relation_Name="target",
                               Tuples_Inserted=40, Tuples_Updated=40, Tuples_Deleted=10,
                                   Tuples_Skipped=10,
                               plans=[outer(node("Hash Join", 100, 100, Join_Type="Right", plans=[
                                   outer(scan("target", 5000, 5000)),
                                   inner(node("Hash", 100, 100, Hash_Batches=1,
                                       Original_Hash_Batches=1,
                                              plans=[outer(scan("source", 100, 100))]))]))]),
      Execution_Time=3.0)
write("healthy_17_initplan", node("Result", 1, 1, One_Time_Filter="(InitPlan 1).col1", plans=[
    scan("scan_log", 1000000, 1) | {"Parent Relationship": "InitPlan",
        "Subplan Name": "InitPlan 1"}]),
    Execution_Time=0.1)
# Version 16: Right Anti joins, Incremental Sort in workers, presorted aggregates.
write("healthy_16_right_anti", node("Hash Join", 40, 38, Join_Type="Right Anti", plans=[
    outer(scan("scan_log", 100000, 100000, ms=20)),
    inner(node("Hash", 40, 40, Hash_Batches=1, plans=[outer(scan("gates", 40, 40))]))]),
        Execution_Time=30.0)
# Nodes and keys that nobody knows yet.
write("healthy_unknown_node", node("Quantum Scan", 10, 10, Entangled=True,
    Rows_Removed_by_Decoherence=5,
                                   plans=[{"Group": "not a node"}, 7, outer(node("Skip Scan", 10,
                                       10))]),
      Execution_Time=1.0, Serialization={"Time": 1.0}, Query_Identifier=42)
# Triggers without time (TIMING OFF), a Settings object without switches, workers as an empty list.
write("healthy_no_trigger_time", node("ModifyTable", 0, 0, Operation="Insert",
    Relation_Name="child",
                                      plans=[outer(node("Result", 1, 1, Workers=[]))]),
      Triggers=[{"Trigger Name": "t", "Relation": "child", "Calls": 5}], Execution_Time=1.0,
      Settings={"work_mem": "'64MB'", "jit": "off"})
write("slow_trigger_own", node("ModifyTable", 0, 0, Operation="Insert", Relation_Name="child",
                               plans=[outer(node("Result", 1, 1))]),
      Triggers=[{"Trigger Name": "audit", "Relation": "child", "Time": 20.0, "Calls": 500}],
      Execution_Time=100.0)
# Planning against execution.
write("planning_time", scan("gates", 40, 40), Execution_Time=2.0, Planning_Time=120.0)
write("planning_time_near", scan("gates", 40, 40), Execution_Time=2.0, Planning_Time=40.0)
# More batches than planned.
write("hash_spill_grown", node("Hash Join", 1000, 1000, plans=[
    outer(scan("a", 1000, 1000)),
    inner(node("Hash", 2000, 2000, Hash_Batches=8, Original_Hash_Batches=1,
               plans=[outer(scan("b", 2000, 2000))]))]), Execution_Time=9.0)
# Memoize: in the leader, in workers, and with few evictions.
def memoized(evictions, misses, workers=()):
    return node("Nested Loop", 900, 900, plans=[
        outer(scan("a", 900, 900)),
        inner(node("Memoize", 1, 1, loops=900, ms=0.001, Cache_Hits=900000, Cache_Misses=misses,
                   Cache_Evictions=evictions, Cache_Overflows=0, Workers=list(workers), plans=[
                       outer(scan("b", 1, 1, "Index Scan", loops=900, ms=0.001,
                           Index_Name="b_pkey"))]))])


write("memoize_evictions", memoized(30000, 40000), Execution_Time=300.0)
write("memoize_evictions_workers", memoized(0, 100, [
    {"Worker Number": 0, "Cache Hits": 5, "Cache Misses": 20000, "Cache Evictions": 15000}]),
        Execution_Time=300.0)
write("memoize_evictions_share_near", memoized(1500, 40000), Execution_Time=300.0)
# The thresholds of misestimates, one row to either side.
write("row_misestimate_at_10", scan("t", 100, 1000, Filter="(n = 1)"), Execution_Time=1.0)
write("row_misestimate_below_10", scan("t", 100, 999, Filter="(n = 1)"), Execution_Time=1.0)
write("row_misestimate_at_100", scan("t", 10, 1000, Filter="(n = 1)"), Execution_Time=1.0)
write("row_misestimate_at_1000", scan("t", 1000000, 1000, Filter="(n = 1)"), Execution_Time=1.0)
write("row_misestimate_few_rows", scan("t", 1, 99, Filter="(n = 1)"), Execution_Time=1.0)
# A miss is told once, where it arises; a parent only when it is worse.
write("row_misestimate_once", node("Sort", 10, 5000, plans=[outer(node("Hash Join", 12, 5000,
    plans=[
    outer(scan("t", 10, 5000, Filter="(n = 1)")),
    inner(node("Hash", 40, 40, plans=[outer(scan("gates", 40, 40))]))]))]), Execution_Time=9.0)
# Averages are rounded: no row a loop may be 499 rows in all.
write("healthy_rounded_inner", node("Nested Loop", 4000, 450, Inner_Unique=False, ms=2, plans=[
    outer(scan("a", 900, 900)),
    inner(scan("b", 9, 1, "Index Scan", loops=900, ms=0.001, Index_Name="b_a",
        Index_Cond="(a = a.id)"))]),
      Execution_Time=3.0)
# Workers that did not come leave their rows to the leader: no misestimate.
write("workers_not_launched_many", node("Gather", 96000, 100000, Workers_Planned=12,
    Workers_Launched=0, plans=[
    outer(scan("t", 8000, 100000, Parallel_Aware=True, Filter="(n > 1)"))]), Execution_Time=50.0)
# LIMIT: the scan below it stopped early, the sort did not.
write("healthy_limit_in_subquery", node("Limit", 10, 10, plans=[outer(node("Nested Loop", 100000,
    10, plans=[
    outer(scan("a", 50000, 10)),
    inner(scan("b", 2, 1, "Index Scan", loops=10, Index_Name="b_a", Index_Cond="(a = a.id)"))]))]),
      Execution_Time=1.0)
write("row_misestimate_below_sort", node("Limit", 10, 10, plans=[outer(node("Sort", 50000, 10,
    plans=[
    outer(scan("a", 50000, 500, Filter="(n = 1)"))]))]), Execution_Time=1.0)
# An anti join and a semi join stop the inner side at the first match.
write("healthy_semi_join", node("Nested Loop", 40, 40, Join_Type="Semi", plans=[
    outer(scan("gates", 40, 40)),
    inner(scan("scan_log", 25000, 1, "Index Only Scan", loops=40, Index_Name="scan_log_gate",
               Index_Cond="(gate_id = gates.id)", Heap_Fetches=0))]), Execution_Time=1.0)
# Estimates of a hash join whose inner side came empty.
write("healthy_empty_hash", node("Hash Join", 5000, 0, Join_Type="Inner", plans=[
    outer(scan("a", 100000, 1)),
    inner(node("Hash", 20, 0, plans=[outer(scan("b", 20, 0, Filter="(n = 1)"))]))]),
        Execution_Time=1.0)
# Plain rows of a 1e20 estimate; no int64 holds it.
write("healthy_huge_estimate", node("Nested Loop", 100000000000000000000, plans=[
    outer(scan("a", 10000000000)), inner(scan("b", 10000000000))]))
# Heap fetches are printed for all loops, rows for one.
write("healthy_heap_fetches_of_loops", node("Nested Loop", 5000, 5000, plans=[
    outer(scan("a", 500, 500)),
    inner(scan("b", 100, 100, "Index Only Scan", loops=500, ms=0.001, Index_Name="b_pkey",
        Heap_Fetches=3000))]),
      Execution_Time=20.0)
# Every leaf has a never executed twin: run-time pruning did work.
write("healthy_runtime_pruning", node("Append", 400, 100, plans=[
    member(scan(f"attendance_records_2026_q{q}", 100, 100 if q == 1 else 0,
                loops=1 if q == 1 else 0, Alias=f"attendance_records_{q}",
                Filter="(date_trunc('day'::text, \"timestamp\") = $0)"))
    for q in (1, 2, 3, 4)]), Execution_Time=1.0)
# UNION ALL of two tables is no partitioned table.
write("healthy_union_with_functions", node("Append", 20, 20, plans=[
    member(scan("orders", 10, 10, Filter="(date_trunc('day'::text, at) = $0)")),
    member(scan("returns", 10, 10, Filter="(date_trunc('day'::text, at) = $0)"))]),
        Execution_Time=1.0)
# A plain range beside the function: pruning works by the range.
write("healthy_pruned_by_range", node("Append", 20, 20, plans=[
    member(scan(f"attendance_records_2026_q{q}", 10, 10, Alias=f"attendance_records_{q}",
                Filter="((at >= '2026-01-01'::date) AND (EXTRACT(dow FROM at) = '1'::numeric))"))
    for q in (1, 2)]), Execution_Time=1.0)
write("temp_blocks_18_storage", node(
    "WindowAgg", 90000, 90000, Storage="Disk", Maximum_Storage=4000,
    Temp_Read_Blocks=500, Temp_Written_Blocks=500, plans=[
        outer(scan("a", 90000, 90000, Temp_Read_Blocks=0, Temp_Written_Blocks=0))]),
      Execution_Time=50.0)
write("temp_blocks_at_256", node("Materialize", 90000, 90000, Temp_Written_Blocks=256, plans=[
    outer(scan("a", 90000, 90000))]), Execution_Time=50.0)
# Foreign and custom scans.
write("scan_discards_foreign", node("Foreign Scan", 10, 10, Relation_Name="remote", Alias="remote",
                                    Filter="(n = 1)", Rows_Removed_by_Filter=50000),
                                        Execution_Time=50.0)
write("nested_loop_scan_foreign", node("Nested Loop", 5000, 5000, plans=[
    outer(scan("a", 5000, 5000)),
    inner(node("Foreign Scan", 1, 1, loops=5000, ms=0.2, Relation_Name="remote", Alias="r"))]),
        Execution_Time=1100.0)
# auto_explain: an object with the query's text, and no times of the statement.
(INTO / "auto_explain.json").write_text(json.dumps(
    {"Query Text": "SELECT * FROM gates;", "Plan": scan("gates", 40, 40, ms=0.25)},
        indent=1) + "\n")
# A column named QUERY PLAN around the document, as drivers return it; and two statements of a rule.
(INTO / "wrapped.json").write_text(json.dumps(
    [{"QUERY PLAN": [{"Plan": scan("gates", 40, 40), "Execution Time": 1.5}]}]) + "\n")
(INTO / "two_statements.json").write_text(json.dumps(
    [{"Plan": scan("gates", 40, 40), "Execution Time": 1.5},
     {"Plan": scan("t", 10, 1000, Filter="(n = 1)"), "Execution Time": 2.25}]) + "\n")
