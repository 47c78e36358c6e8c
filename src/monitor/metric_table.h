/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every metric of /metrics: its help says what it is and what to do when it moves. The writer of
 * each is in metrics.c; tools/gen-monitor-docs makes docs/monitoring.md of this table.
 */
#ifndef TURNOUT_MONITOR_METRIC_TABLE_H
#define TURNOUT_MONITOR_METRIC_TABLE_H

/* X(id, name, TYPE, labels in words, help) */
#define METRICS_TABLE(X)                                                                           \
    X(requests, "turnout_http_requests_total", COUNTER, "route, class",                            \
      "Requests answered. When 5xx grows, find the route and read its slow_request and error "     \
      "lines in the log.")                                                                         \
    X(request_seconds, "turnout_http_request_duration_seconds", HISTOGRAM, "route",                \
      "Time from a whole request head to the last byte of the answer. When it grows, compare "     \
      "with the store's operations: what is not there is the loop's or the client's.")             \
    X(response_bytes, "turnout_http_response_bytes_total", COUNTER, "route",                       \
      "Bytes of answers by route. A sudden rise is an export or a client without paging.")         \
    X(slow_requests, "turnout_http_slow_requests_total", COUNTER, "route",                         \
      "Requests that took over a second. Each has one slow_request line in the log with its "      \
      "phases: begin there.")                                                                      \
    X(in_flight, "turnout_http_requests_in_flight", GAUGE, "route",                                \
      "Requests being worked on. When it climbs and does not fall, something behind the route "    \
      "does not answer.")                                                                          \
    X(oldest, "turnout_http_oldest_request_seconds", GAUGE, "",                                    \
      "Age of the oldest request in flight. Above ten seconds, see which route hangs in "          \
      "/v1/performance.")                                                                          \
    X(streams, "turnout_http_streams", GAUGE, "",                                                  \
      "Event streams open. Each is a dashboard: hundreds of them are a reload loop in a browser.") \
    X(connections, "turnout_http_connections", GAUGE, "",                                          \
      "Connections open. Near the limit, add a node or raise server.connections_max.")             \
    X(connections_max, "turnout_http_connections_limit", GAUGE, "",                                \
      "Connections that may be open at once. It moves only with the configuration and the "        \
      "descriptors' limit.")                                                                       \
    X(accepted, "turnout_http_connections_accepted_total", COUNTER, "",                            \
      "Connections accepted. When it grows as fast as requests do, clients do not keep "           \
      "connections: mend them.")                                                                   \
    X(rejected_heads, "turnout_http_rejected_heads_total", COUNTER, "",                            \
      "Requests refused because they are no proper HTTP/1.1. When it grows, look for a broken "    \
      "client or an attack.")                                                                      \
    X(ignored_forwarded, "turnout_http_ignored_forwarded_total", COUNTER, "",                      \
      "Requests with an X-Forwarded-For from an address that is no trusted proxy. When your proxy "\
      "sends them, name it in server.trusted_proxies.")                                            \
    X(timeouts, "turnout_http_timeouts_total", COUNTER, "",                                        \
      "Connections ended because the client was too slow. When it grows, check the network at "    \
      "the gates.")                                                                                \
    X(sent_bytes, "turnout_http_sent_bytes_total", COUNTER, "",                                    \
      "Bytes sent to clients. Compare with the link's capacity when answers are slow to send.")    \
    X(unauthorized, "turnout_http_unauthorized_total", COUNTER, "",                                \
      "Answers 401. When it grows, a scanner has an old key or somebody is guessing.")             \
    X(rate_limited, "turnout_http_rate_limited_total", COUNTER, "",                                \
      "Answers 429. When it grows, an address keeps failing to authenticate: block it or give it " \
      "its key.")                                                                                  \
    X(unavailable, "turnout_http_unavailable_total", COUNTER, "",                                  \
      "Answers 503. When it grows, see /readyz for the reason, then the store's queue.")           \
    X(shed, "turnout_requests_shed_total", COUNTER, "",                                            \
      "Analytics that were refused while load is shed. When it grows, see /v1/alerts for the rule "\
      "and until when.")                                                                           \
    X(access_dropped, "turnout_access_log_dropped_total", COUNTER, "",                             \
      "Lines that the access log had no room for. When it grows, its disk is too slow: move it or "\
      "switch it off.")                                                                            \
    X(transactions, "turnout_transactions_total", COUNTER, "",                                     \
      "Scans decided and other writes that succeeded. When it falls while requests do not, the "   \
      "store refuses.")                                                                            \
    X(store_seconds, "turnout_store_operation_duration_seconds", HISTOGRAM, "operation",           \
      "Time of store operations from submission to answer. When it grows, compare queue and run "  \
      "time to see whether to add capacity or mend a query.")                                      \
    X(store_queue, "turnout_store_queue_seconds_total", COUNTER, "operation",                      \
      "Time operations waited for the store. When it grows faster than the run time, the store "   \
      "is saturated.")                                                                             \
    X(store_run, "turnout_store_run_seconds_total", COUNTER, "operation",                          \
      "Time operations ran, their commit included. When it grows per operation, look at the "      \
      "query or the disk.")                                                                        \
    X(store_failures, "turnout_store_failures_total", COUNTER, "operation",                        \
      "Operations that failed in the store. When it grows, see /readyz and the log for the "       \
      "reason.")                                                                                   \
    X(store_refused, "turnout_store_refused_total", COUNTER, "operation",                          \
      "Operations that found the store's queue full. When it grows, scale out or take load away.") \
    X(store_slow, "turnout_store_slow_operations_total", COUNTER, "operation",                     \
      "Operations that took over 100 ms. Each has one slow_query line in the log: explain the "    \
      "statement.")                                                                                \
    X(replica_reads, "turnout_store_replica_reads_total", COUNTER, "outcome",                      \
      "Reads that may lag: answered by the standby, or late, when it was too far behind and the "  \
      "primary answered. When late grows, see what holds up its replay.")                          \
    X(loop_turn, "turnout_loop_turn_seconds_max", GAUGE, "",                                       \
      "Longest single turn of an event loop in the last five minutes. Above 0.1, every request "   \
      "of that loop waited: see the processor first.")                                             \
    X(cache_hits, "turnout_cache_hits_total", COUNTER, "level",                                    \
      "Look-ups answered by a cache level. When hits fall and misses grow, see the misses' "       \
      "causes.")                                                                                   \
    X(cache_misses, "turnout_cache_misses_total", COUNTER, "level",                                \
      "Look-ups that a cache level could not answer. When it grows, see the misses' causes.")      \
    X(cache_causes, "turnout_cache_miss_causes_total", COUNTER, "cause",                           \
      "Why look-ups missed. Evicted asks for more entries, expired for longer lives, cold for "    \
      "preloading, l2_down for the Redis Cluster.")                                                \
    X(cache_class_hits, "turnout_cache_class_hits_total", COUNTER, "class, level",                 \
      "The same by class, the prefix of a key. When one falls alone, see why its keys miss.")      \
    X(cache_class_misses, "turnout_cache_class_misses_total", COUNTER, "class, level, cause",      \
      "Why look-ups of a class missed. In L1, marked is a figure from before a scan and untrusted "\
      "a value that no other node vouched for; in L2, outdated is from before a pattern or a mark "\
      "and down was not asked.")                                                                   \
    X(cache_loads, "turnout_cache_loads_total", COUNTER, "class",                                  \
      "Reads of the store for the cache, warming among them. When it grows with the misses, the "  \
      "store pays for them.")                                                                      \
    X(cache_load_failures, "turnout_cache_load_failures_total", COUNTER, "class",                  \
      "Reads for the cache that the store did not answer. When it grows, see /readyz.")            \
    X(cache_load_seconds, "turnout_cache_load_seconds_total", COUNTER, "class",                    \
      "Time that those reads took. When it grows per read, look at the store's operations.")       \
    X(cache_stale, "turnout_cache_stale_answers_total", COUNTER, "class",                          \
      "Answers from what had expired, since the store failed. When it grows, mend the store.")     \
    X(cache_invalidations, "turnout_cache_invalidations_total", COUNTER, "class",                  \
      "Keys and patterns that writes through this node dropped. A flood of them is an import or "  \
      "a client that writes what it read.")                                                        \
    X(cache_get_seconds, "turnout_cache_get_seconds_total", COUNTER, "level",                      \
      "Time of look-ups: in the process by one in 1024 of them, in Redis by all. Divide by the "   \
      "look-ups; when Redis needs milliseconds, see its processor and the network.")               \
    X(cache_evictions, "turnout_cache_evictions_total", COUNTER, "level",                          \
      "Entries that had to leave for others. When it grows with the misses, raise the number of "  \
      "entries.")                                                                                  \
    X(cache_left, "turnout_cache_left_total", COUNTER, "cause",                                    \
      "Entries that left the process's cache. Entries and bytes are evictions by that bound: "     \
      "raise the one that grows.")                                                                 \
    X(cache_entries, "turnout_cache_entries", GAUGE, "level",                                      \
      "Entries held. A sudden fall is an invalidation of much: see who asked for it.")             \
    X(cache_capacity, "turnout_cache_entries_limit", GAUGE, "level",                               \
      "Entries that fit. It moves only with the configuration.")                                   \
    X(cache_bytes, "turnout_cache_bytes", GAUGE, "",                                               \
      "Bytes that the process's cache holds. Near cache.bytes, large values drive others out.")    \
    X(cache_pending, "turnout_cache_invalidations_pending", GAUGE, "",                             \
      "Invalidations that Redis has not taken yet. Above zero for seconds, this node does not "    \
      "reach a primary.")                                                                          \
    X(cache_lag, "turnout_cache_channel_lag_seconds", GAUGE, "",                                   \
      "Time from a write in Redis to its news in this node, the last. Above 0.1, see the network " \
      "and the loops' turns.")                                                                     \
    X(cache_trust, "turnout_cache_trust", GAUGE, "by",                                             \
      "1 while the channel, or the mark in the database, vouches for what the process holds. At "  \
      "0 every value is read again after 0.7 s: mend the link to Redis, or wait for the import.")  \
    X(cache_mark_drops, "turnout_cache_mark_drops_total", COUNTER, "",                             \
      "How often the process's cache was emptied for the mark in the database. When it grows "     \
      "without imports, some node does not reach Redis.")                                          \
    X(cache_mark_turns, "turnout_cache_mark_turns_total", COUNTER, "",                             \
      "How often this node moved that mark, as Redis did not take an invalidation in time. When "  \
      "it grows, mend its link to Redis.")                                                         \
    X(cache_l2_trouble, "turnout_cache_l2_trouble_total", COUNTER, "kind",                         \
      "Requests to Redis without an answer of use, and connections lost. When deadlines or "       \
      "unreachable grow, see its nodes; corrupt values are dropped and never served.")             \
    X(cache_l2_nodes, "turnout_cache_l2_nodes", GAUGE, "",                                         \
      "Nodes of Redis that are known. When it falls, the cluster lost some.")                      \
    X(cache_l2_open, "turnout_cache_l2_nodes_open", GAUGE, "",                                     \
      "Nodes of Redis whose breaker is open: they are asked nothing. Above zero, see these nodes.")\
    X(partition_horizon, "turnout_database_partition_horizon_seconds", GAUGE, "",                  \
      "Time until the partitions of a PostgreSQL store end, looked at every ten minutes. When it " \
      "falls for weeks, nobody makes partitions: run turnout db partitions and read what it says.")\
    X(cluster_nodes, "turnout_cluster_nodes", GAUGE, "state",                                      \
      "Nodes as this process sees them. When suspect rises, turnout nodes says why; on one node "  \
      "alone, it is that one's network.")                                                          \
    X(cluster_asks, "turnout_cluster_asks_total", COUNTER, "outcome",                              \
      "Questions to nodes how they are: answered, missed, or a lie. When lie grows, compare "      \
      "cluster.secret and the versions of the nodes.")                                             \
    X(cluster_changes, "turnout_cluster_state_changes_total", COUNTER, "",                         \
      "Moves of nodes between states. When it grows steadily, a node flaps: see its "              \
      "node_state lines in the log.")                                                              \
    X(cluster_clock, "turnout_cluster_clock_offset_seconds", GAUGE, "",                            \
      "Largest difference between a node's clock and this one. Above a second, mend the time "     \
      "service of the node that turnout nodes names.")                                             \
    X(controller_leads, "turnout_controller_leads", GAUGE, "",                                     \
      "1 on the controller that acts for all nodes. When the sum over all is not 1 for longer "    \
      "than control.lease, see whether they reach PostgreSQL.")                                    \
    X(controller_term, "turnout_controller_term", GAUGE, "",                                       \
      "Term of the lead that this process knows; 0: none. It grows when the lead begins anew: "    \
      "often means that leaders do not reach PostgreSQL in time.")                                 \
    X(cpu, "turnout_cpu_used_ratio", GAUGE, "",                                                    \
      "Processor time used of the limit that applies to the process. Above 0.7, add a node or "    \
      "raise the limit.")                                                                          \
    X(cpu_limit, "turnout_cpu_limit_cores", GAUGE, "",                                             \
      "Cores that the process may use. When it moves, somebody changed the control group.")        \
    X(memory, "turnout_memory_used_ratio", GAUGE, "",                                              \
      "Memory used of the limit that applies to the process. Above 0.8, lower budgets or raise "   \
      "the limit.")                                                                                \
    X(memory_limit, "turnout_memory_limit_bytes", GAUGE, "",                                       \
      "Memory that the process may use. When it moves, somebody changed the control group.")       \
    X(pressure, "turnout_pressure_ratio", GAUGE, "resource, kind",                                 \
      "Share of the last ten seconds in which some or all work waited for a resource. When full "  \
      "io grows, find who else writes to the disk.")                                               \
    X(disk_free, "turnout_disk_free_bytes", GAUGE, "",                                             \
      "Free space on the store's disk. Below a tenth of the disk, free space: a full disk stops "  \
      "all check-ins.")                                                                            \
    X(disk_size, "turnout_disk_size_bytes", GAUGE, "",                                             \
      "Size of the store's disk. It moves only when somebody changes the disk.")                   \
    X(process_cpu, "process_cpu_seconds_total", COUNTER, "",                                       \
      "Processor time of this process. Compare with the machine's to see whether a neighbour "     \
      "takes the rest.")                                                                           \
    X(process_rss, "process_resident_memory_bytes", GAUGE, "",                                     \
      "Memory of this process. When it grows without more connections, plan a restart and report " \
      "a leak.")                                                                                   \
    X(process_fds, "process_open_fds", GAUGE, "",                                                  \
      "Open file descriptors. Near the limit, raise the limit or close idle connections earlier.") \
    X(process_fds_max, "process_max_fds", GAUGE, "",                                               \
      "File descriptors that may be open. When it is below the connections wanted, raise "         \
      "LimitNOFILE.")                                                                              \
    X(process_start, "process_start_time_seconds", GAUGE, "",                                      \
      "When the process started. When it moves, the process was restarted: the log says why.")     \
    X(build, "turnout_build_info", GAUGE, "version",                                               \
      "Always 1; its label is the version. Two versions at once are an upgrade under way.")        \
    X(collection, "turnout_monitor_collection_seconds", GAUGE, "",                                 \
      "Time the monitor took to collect these figures last. Above 0.1, the machine has no "        \
      "processor time left.")

#endif
