-- SPDX-License-Identifier: Apache-2.0
-- Each case: a line "-- case NAME [options]", settings, and last the statement to explain. Options
-- replace ANALYZE, BUFFERS. Each is captured in a transaction of its own that is rolled back.

-- case row_misestimate
SET max_parallel_workers_per_gather = 0;
SELECT * FROM correlated WHERE a = 5 AND b = 5 AND c = 5 AND d = 5;
-- case row_misestimate_warning
SET max_parallel_workers_per_gather = 0;
SELECT * FROM correlated WHERE a < 20 AND b < 20 AND c < 20 AND d < 20;
-- case row_misestimate_near
SET max_parallel_workers_per_gather = 0;
SELECT * FROM correlated WHERE a < 50 AND b < 50;
-- case row_misestimate_join
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM correlated x JOIN correlated y ON x.a = y.a AND x.b = y.b WHERE x.c < 2 AND
    y.pad = 'x';
-- case row_misestimate_parallel
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT * FROM correlated WHERE a = 5 AND b = 5 AND c = 5 AND d = 5;
-- case stale_statistics
SELECT count(*) FROM refilled;
-- case stale_statistics_near
SELECT count(*) FROM settled;
-- case missing_index
SET max_parallel_workers_per_gather = 0;
SELECT * FROM scan_log WHERE method = 'manual' AND device = 'device-0';
-- case missing_index_parallel
SET enable_bitmapscan = off;
SELECT * FROM scan_log s WHERE s.device = 'device-7' AND s.at >= '2026-05-01';
-- case missing_index_quoted
SET max_parallel_workers_per_gather = 0;
SELECT * FROM scan_log WHERE "Note" = 'nothing';
-- case missing_index_partitions
SET max_parallel_workers_per_gather = 0;
SELECT * FROM attendance_records WHERE method = 'manual';
-- case missing_index_varchar
SET max_parallel_workers_per_gather = 0;
SELECT * FROM participants WHERE name = 'Name 77';
-- case missing_index_or_has_no_columns
SET max_parallel_workers_per_gather = 0;
SELECT * FROM scan_log WHERE device = 'device-1' OR "Note" = 'nothing';
-- case missing_index_near
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM scan_log WHERE device < 'device-5';
-- case scan_discards
SET max_parallel_workers_per_gather = 0;
SELECT * FROM participants WHERE email LIKE '%p777%';
-- case scan_discards_near
SELECT * FROM participants WHERE email LIKE '%1%';
-- case index_filter
SET enable_bitmapscan = off;
SET enable_seqscan = off;
SET max_parallel_workers_per_gather = 0;
SELECT * FROM scan_log WHERE gate_id = 5 AND method = 'manual' AND device = 'device-4';
-- case index_filter_bitmap
SET max_parallel_workers_per_gather = 0;
SELECT * FROM scan_log WHERE gate_id = 1 AND device = 'device-0';
-- case index_filter_near
SELECT * FROM attendance_records WHERE participant_id = 77 AND "timestamp" >= '2026-02-01' AND
    method = 'manual';
-- case sort_spill
SET work_mem = '1MB';
SET max_parallel_workers_per_gather = 0;
SELECT id, email FROM participants ORDER BY email;
-- case sort_spill_near
SET work_mem = '64MB';
SET max_parallel_workers_per_gather = 0;
SELECT id, email FROM participants ORDER BY email;
-- case sort_spill_workers
SET work_mem = '1MB';
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SELECT id, device FROM scan_log ORDER BY device;
-- case sort_spill_incremental
SET work_mem = '64kB';
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT gate_id, device, "Note" FROM scan_log ORDER BY gate_id, device, "Note" LIMIT 30000;
-- case hash_spill
SET work_mem = '256kB';
SET max_parallel_workers_per_gather = 0;
SET enable_mergejoin = off;
SET hash_mem_multiplier = 1;
SET enable_nestloop = off;
SELECT count(*) FROM attendance_records r JOIN participants p ON p.id = r.participant_id WHERE
    p.email > 'p';
-- case hash_spill_near
SET work_mem = '64MB';
SET max_parallel_workers_per_gather = 0;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT count(*) FROM attendance_records r JOIN participants p ON p.id = r.participant_id WHERE
    p.email > 'p';
-- case hash_spill_aggregate
SET work_mem = '256kB';
SET hash_mem_multiplier = 1;
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off;
SET jit = off;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT participant_id, count(*) FROM scan_log WHERE gate_id < 20 GROUP BY participant_id;
-- case hash_spill_grown
SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
SET max_parallel_workers_per_gather = 0;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SET jit = off;
SELECT count(*) FROM (SELECT id % 100 AS k FROM gates) g JOIN correlated c ON g.k = c.a WHERE c.a
    < 15 AND c.b < 15 AND c.c < 15 AND c.d < 15;
-- case hash_spill_parallel
SET work_mem = '512kB';
SET hash_mem_multiplier = 1;
SET parallel_setup_cost = 0;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SET jit = off;
SELECT count(*) FROM scan_log a JOIN scan_log b USING (id);
-- case heap_fetches
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM updated WHERE id BETWEEN 1 AND 60000;
-- case heap_fetches_near
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM settled WHERE id BETWEEN 1 AND 60000;
-- case heap_fetches_few
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM updated WHERE id BETWEEN 1 AND 300;
-- case lossy_bitmap
SET work_mem = '64kB';
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SET enable_indexscan = off;
SELECT count(*) FROM scan_log WHERE gate_id < 20;
-- case lossy_bitmap_near
SET work_mem = '64MB';
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SET enable_indexscan = off;
SELECT count(*) FROM scan_log WHERE gate_id < 3;
-- case lossy_bitmap_brin
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SELECT count(*) FROM scan_log WHERE at >= '2026-03-01' AND at < '2026-03-20';
-- case nested_loop
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SET max_parallel_workers_per_gather = 0;
SET enable_memoize = off;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM participants p JOIN gates g ON g.id = p.id % 40 WHERE p.id < 5000;
-- case nested_loop_index
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET max_parallel_workers_per_gather = 0;
SET enable_memoize = off;
SELECT count(p.name) FROM updated u JOIN participants p ON p.id = u.id WHERE u.id < 8000;
-- case nested_loop_near
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET max_parallel_workers_per_gather = 0;
SET enable_memoize = off;
SELECT count(p.name) FROM settled u JOIN participants p ON p.id = u.id WHERE u.id < 800;
-- case correlated_subplan
SET max_parallel_workers_per_gather = 0;
SELECT p.id, (SELECT max(at) FROM scan_log s WHERE s.participant_id = p.id) FROM participants p
    WHERE p.id < 3000;
-- case correlated_subplan_near
SET max_parallel_workers_per_gather = 0;
SELECT p.id, (SELECT max(at) FROM scan_log s WHERE s.participant_id = p.id) FROM participants p
    WHERE p.id < 300;
-- case jit
SET jit = on;
SET jit_above_cost = 0;
SET jit_optimize_above_cost = 0;
SET jit_inline_above_cost = 0;
SET max_parallel_workers_per_gather = 0;
SELECT gate_id, count(*), sum(id) FROM attendance_records WHERE "timestamp" < '2026-02-01' GROUP
    BY gate_id;
-- case jit_near
SET jit = on;
SET jit_above_cost = 0;
SET jit_optimize_above_cost = 1e12;
SET jit_inline_above_cost = 1e12;
SET max_parallel_workers_per_gather = 0;
SELECT count(*), sum(id) FROM scan_log;
-- case slow_trigger
DELETE FROM parent WHERE id <= 200;
-- case slow_trigger_near
INSERT INTO child VALUES (1000000, 7);
-- case no_partition_pruning
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM attendance_records WHERE date_trunc('month', "timestamp") = '2026-05-01';
-- case no_partition_pruning_cast
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM attendance_records WHERE "timestamp"::date = '2026-05-01' AND gate_id = 3;
-- case no_partition_pruning_unused_leaves
SELECT k FROM small_parts WHERE n + 0 = 3;
-- case no_partition_pruning_near
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM attendance_records WHERE "timestamp" >= '2026-05-01' AND "timestamp" <
    '2026-08-01';
-- case no_partition_pruning_runtime
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM attendance_records WHERE "timestamp" >= now() - interval '10 days' AND
    gate_id = 3;
-- case temp_blocks
SET work_mem = '64kB';
SET max_parallel_workers_per_gather = 0;
WITH r AS MATERIALIZED (SELECT id, email, name FROM participants) SELECT count(*) FROM r;
-- case temp_blocks_near
SET work_mem = '64MB';
SET max_parallel_workers_per_gather = 0;
WITH r AS MATERIALIZED (SELECT id, email, name FROM participants) SELECT count(*) FROM r;
-- case workers_not_launched
SET max_parallel_workers = 0;
SELECT count(*) FROM scan_log;
-- case workers_not_launched_some
SET max_parallel_workers = 1;
SET max_parallel_workers_per_gather = 2;
SELECT count(*) FROM scan_log;
-- case workers_not_launched_near
SELECT count(*) FROM scan_log;
-- case cte_rescan
SET max_parallel_workers_per_gather = 0;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
WITH r AS MATERIALIZED (SELECT id FROM tree WHERE id < 900) SELECT count(*) FROM gates g JOIN
    settled s ON s.id = g.id * 10 LEFT JOIN r ON r.id < s.id JOIN tree t ON t.id < 20 LEFT JOIN r
    q ON q.id = t.id + s.id;
-- case cte_rescan_near
SET max_parallel_workers_per_gather = 0;
WITH r AS MATERIALIZED (SELECT id FROM tree WHERE id < 900) SELECT count(*) FROM r a JOIN r b
    USING (id);
-- case large_offset
SET max_parallel_workers_per_gather = 0;
SELECT * FROM participants ORDER BY id LIMIT 50 OFFSET 30000;
-- case large_offset_near
SET max_parallel_workers_per_gather = 0;
SELECT * FROM participants ORDER BY id LIMIT 50 OFFSET 100;
-- case join_filter_discards
SET max_parallel_workers_per_gather = 0;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT count(*) FROM tree t JOIN gates g ON t.id + 0 = g.id * 499 + 0;
-- case join_filter_discards_near
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM gates a JOIN gates b ON a.id < b.id;
-- case sort_for_limit
SET max_parallel_workers_per_gather = 0;
SELECT * FROM scan_log WHERE gate_id > 0 ORDER BY at DESC LIMIT 10;
-- case sort_for_limit_parallel
SELECT * FROM scan_log ORDER BY at DESC LIMIT 10;
-- case sort_for_limit_near
SET max_parallel_workers_per_gather = 0;
SELECT * FROM gates ORDER BY name LIMIT 10;
-- case sort_for_limit_join
SET max_parallel_workers_per_gather = 0;
SELECT g.name, count(*) FROM attendance_records r JOIN gates g ON g.id = r.gate_id GROUP BY g.name
    ORDER BY count(*) DESC LIMIT 5;
-- case memoize_evictions
SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
SET max_parallel_workers_per_gather = 0;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT count(p.name) FROM (SELECT (id * 7919) % 15000 AS k FROM tree) s JOIN participants p ON
    p.id = s.k;
-- case memoize_evictions_near
SET max_parallel_workers_per_gather = 0;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT count(g.name) FROM (SELECT gate_id FROM scan_log LIMIT 20000) s JOIN gates g ON g.id =
    s.gate_id;
-- case planner_forced ANALYZE, BUFFERS, SETTINGS
SET enable_seqscan = off;
SELECT count(*) FROM gates;
-- case planner_forced_near ANALYZE, BUFFERS, SETTINGS
SET work_mem = '32MB';
SELECT count(*) FROM gates;

-- case healthy_token
SELECT id, name FROM participants WHERE token = 'tok-4711' AND event_id = 1 AND status = 'active';
-- case healthy_newest_records
SELECT * FROM attendance_records WHERE participant_id = 4711 ORDER BY "timestamp" DESC LIMIT 20;
-- case healthy_gate_count
SELECT count(*) FROM attendance_records WHERE gate_id = 3 AND "timestamp" >= '2026-12-01';
-- case healthy_counts_per_gate
SELECT gate_id, count(*) FROM attendance_records WHERE "timestamp" >= '2026-12-01' GROUP BY
    gate_id;
-- case healthy_hash_join
SELECT g.name, count(*) FROM attendance_records r JOIN gates g ON g.id = r.gate_id WHERE
    r."timestamp" >= '2026-12-01' GROUP BY g.name;
-- case healthy_exists
SELECT g.id FROM gates g WHERE EXISTS (SELECT 1 FROM scan_log s WHERE s.gate_id = g.id);
-- case healthy_exists_once
SELECT EXISTS (SELECT 1 FROM scan_log WHERE gate_id = 7);
-- case healthy_not_exists
SELECT g.id FROM gates g WHERE NOT EXISTS (SELECT 1 FROM scan_log s WHERE s.gate_id = g.id + 1);
-- case healthy_limit
SELECT * FROM scan_log LIMIT 10;
-- case healthy_limit_over_join
SELECT s.id, g.name FROM scan_log s JOIN gates g ON g.id = s.gate_id LIMIT 10;
-- case healthy_keyset
SELECT * FROM participants WHERE id > 30000 ORDER BY id LIMIT 50;
-- case healthy_merge_join
SET enable_hashjoin = off;
SET enable_nestloop = off;
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM participants p JOIN settled s ON s.id = p.id;
-- case healthy_merge_join_duplicates
SET enable_hashjoin = off;
SET enable_nestloop = off;
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM attendance_records a JOIN attendance_records b ON b.gate_id = a.gate_id WHERE
    a.participant_id < 200 AND b.participant_id < 200;
-- case healthy_parallel_aggregate
SELECT gate_id, count(*) FROM scan_log GROUP BY gate_id;
-- case healthy_parallel_hash_join
SET parallel_setup_cost = 0;
SELECT count(*) FROM scan_log s JOIN participants p ON p.id = s.participant_id;
-- case healthy_full_text
SELECT id FROM participants WHERE to_tsvector('simple', name) @@ to_tsquery('simple', '4711');
-- case healthy_gist
SELECT id FROM places WHERE at <@ box '(10,10),(12,12)';
-- case healthy_bitmap_and
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM scan_log WHERE gate_id IN (2, 3) AND participant_id BETWEEN 100 AND 700;
-- case healthy_bitmap_or
SELECT count(*) FROM scan_log WHERE participant_id = 5 OR participant_id = 9;
-- case healthy_recursive
WITH RECURSIVE t AS (SELECT id FROM tree WHERE id = 3 UNION ALL SELECT c.id FROM tree c JOIN t ON
    c.parent_id = t.id) SELECT count(*) FROM t;
-- case healthy_window
SELECT id, row_number() OVER (PARTITION BY parent_id ORDER BY id) FROM tree;
-- case healthy_incremental_sort
SET enable_seqscan = off;
SELECT parent_id, id FROM tree ORDER BY parent_id, id LIMIT 20;
-- case healthy_insert
INSERT INTO plain_target SELECT i, i FROM generate_series(1, 1000) i;
-- case healthy_upsert
INSERT INTO plain_target VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n;
-- case healthy_update
UPDATE participants SET status = 'blocked' WHERE id = 77;
-- case healthy_delete
DELETE FROM attendance_records WHERE participant_id = 77 AND "timestamp" >= '2026-12-01';
-- case healthy_merge
MERGE INTO plain_target t USING (SELECT 5 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n =
    2 WHEN NOT MATCHED THEN INSERT VALUES (5, 5);
-- case healthy_never_executed
SELECT * FROM gates g JOIN scan_log s ON s.gate_id = g.id WHERE g.id = -1;
-- case healthy_one_time_filter
SELECT * FROM scan_log WHERE 1 = 2;
-- case healthy_union
SELECT id FROM gates UNION ALL SELECT id FROM tree WHERE id < 100;
-- case healthy_except
SELECT id FROM gates EXCEPT SELECT id FROM tree;
-- case healthy_values
SELECT * FROM (VALUES (1), (2), (3)) v(x) JOIN gates g ON g.id = v.x;
-- case healthy_function
SELECT * FROM generate_series(1, 500) i;
-- case healthy_json_function
SELECT * FROM json_array_elements('[1,2,3]');
-- case healthy_sample
SELECT count(*) FROM settled TABLESAMPLE SYSTEM (10);
-- case healthy_lateral_top
SELECT g.id, r.at FROM gates g CROSS JOIN LATERAL (SELECT at FROM scan_log s WHERE s.gate_id =
    g.id LIMIT 3) r;
-- case healthy_memoize
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SET max_parallel_workers_per_gather = 0;
SELECT count(g.name) FROM (SELECT gate_id FROM attendance_records WHERE participant_id < 100) s
    JOIN gates g ON g.id = s.gate_id;
-- case healthy_hashed_subplan
SELECT count(*) FROM tree WHERE id NOT IN (SELECT id FROM gates);
-- case healthy_group_overestimate
SELECT date_trunc('hour', "timestamp"), count(*) FROM attendance_records WHERE "timestamp" >=
    '2026-12-01' GROUP BY 1;
-- case healthy_partitionwise
SET enable_partitionwise_aggregate = on;
SELECT count(*) FROM attendance_records;
-- case healthy_timing_off ANALYZE, TIMING OFF
SELECT gate_id, count(*) FROM scan_log GROUP BY gate_id;
-- case healthy_no_buffers ANALYZE, BUFFERS OFF
SELECT count(*) FROM gates;
-- case healthy_verbose ANALYZE, BUFFERS, VERBOSE, WAL
SELECT gate_id, count(*) FROM scan_log GROUP BY gate_id;
-- case estimate_only COSTS
SELECT * FROM scan_log WHERE device = 'device-7' ORDER BY at LIMIT 5;
-- case estimate_only_pruning COSTS
SELECT count(*) FROM attendance_records WHERE date_trunc('month', "timestamp") = '2026-05-01';
-- case no_costs ANALYZE, COSTS OFF
SELECT count(*) FROM correlated WHERE a = 5 AND b = 5 AND c = 5;
