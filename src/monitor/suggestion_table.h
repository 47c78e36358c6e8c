/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suggestions: what they say, and when, in words. Their conditions are the functions of the
 * same names in suggest.c; tools/gen-monitor-docs makes docs/monitoring.md of this table.
 *
 * {name} in a message is the evidence of that name. Actions are one a line, the first one first.
 */
#ifndef TURNOUT_MONITOR_SUGGESTION_TABLE_H
#define TURNOUT_MONITOR_SUGGESTION_TABLE_H

/* X(type, PRIORITY, when,
 *   English message, actions, expected impact,
 *   Korean message, actions, expected impact) */
#define SUGGESTION_TABLE(X)                                                                        \
    X(database_slow_average, HIGH, "Store operations take more than 500 ms on average.",           \
      "Store operations take {avg_ms} ms on average; {queue_ms} ms of it is waiting in the "       \
      "queue.",                                                                                    \
      "Look at the slowest operation first: {slowest}.\n"                                          \
      "Run turnout db maintain, then explain and index what is still slow.\n"                      \
      "If most of it is waiting, the store is short of throughput: see its disk and its load.",    \
      "Answer times fall by about the time saved in the store.",                                   \
      "저장소 작업이 평균 {avg_ms} ms 걸리고, 그중 {queue_ms} ms는 대기 시간입니다.",              \
      "가장 느린 작업부터 확인하십시오: {slowest}.\n"                                              \
      "turnout db maintain을 실행한 뒤 여전히 느린 쿼리를 분석하고 인덱스를 추가하십시오.\n"       \
      "대기 시간이 대부분이면 저장소 처리량이 부족합니다. 디스크와 부하를 확인하십시오.",          \
      "저장소에서 줄인 시간만큼 응답 시간이 줄어듭니다.")                                          \
    X(database_slow_queries, MEDIUM, "More than 10 store operations took longer than 100 ms.",     \
      "{slow_count} store operations took longer than 100 ms, most of them {slowest}.",            \
      "See the slow_query lines of the log: they name the request and its phases.\n"               \
      "Explain the operation's statement and add what it needs (turnout db optimize --dry-run).",  \
      "The slowest answers, p95 and p99, come down.",                                              \
      "100 ms를 넘긴 저장소 작업이 {slow_count}건이며, 대부분 {slowest}입니다.",                   \
      "로그의 slow_query 줄에서 요청과 단계별 시간을 확인하십시오.\n"                              \
      "해당 쿼리의 실행 계획을 보고 필요한 인덱스를 추가하십시오(turnout db optimize --dry-run).", \
      "가장 느린 응답(p95, p99)이 개선됩니다.")                                                    \
    X(store_queue_growing, HIGH,                                                                   \
      "Waiting for the store is above 20 ms in the last minute and twice that of the minutes "     \
      "before.",                                                                                   \
      "Waiting for the store grew from {before_ms} ms to {now_ms} ms within a few minutes.",       \
      "Find what takes the store's time: the operation with the largest share is {slowest}.\n"     \
      "Postpone imports and exports until doors are open.\n"                                       \
      "Raise store.group_max, so that more scans share one commit.",                               \
      "The queue drains before requests are refused.",                                             \
      "저장소 대기 시간이 몇 분 사이 {before_ms} ms에서 {now_ms} ms로 늘었습니다.",                \
      "저장소 시간을 가장 많이 쓰는 작업을 찾으십시오: {slowest}.\n"                               \
      "입장이 끝날 때까지 가져오기와 내보내기를 미루십시오.\n"                                     \
      "store.group_max를 올려 더 많은 스캔이 한 커밋을 공유하게 하십시오.",                        \
      "요청이 거절되기 전에 대기열이 비워집니다.")                                                 \
    X(store_waiting, MEDIUM, "Operations wait over 50 ms for the store, longer than they run.",    \
      "Operations wait {queue_ms} ms for the store and run for {run_ms} ms: it is saturated.",     \
      "Add readers (store.readers) when reads wait, a faster disk when writes wait.\n"             \
      "Spread the load over more nodes where the store is PostgreSQL.",                            \
      "Waiting shrinks towards the time that operations really run.",                              \
      "작업이 저장소를 {queue_ms} ms 기다리고 {run_ms} ms 실행됩니다. 저장소가 포화 상태입니다.",  \
      "읽기가 기다리면 store.readers를 늘리고, 쓰기가 기다리면 더 빠른 디스크를 쓰십시오.\n"       \
      "저장소가 PostgreSQL이면 부하를 더 많은 노드로 나누십시오.",                                 \
      "대기 시간이 실제 실행 시간 수준으로 줄어듭니다.")                                           \
    X(commit_slow, HIGH, "Check-ins run longer than 50 ms on average, their commit included.",     \
      "A check-in takes {run_ms} ms in the store on average, most of it the commit to disk.",      \
      "Put the store on a local SSD; network disks have slow flushes.\n"                           \
      "See whether a backup or another process writes to the same disk (pressure.io).\n"           \
      "Keep synchronous durability: it is what an acknowledged scan relies on.",                   \
      "Scan answers come down to a few milliseconds.",                                             \
      "체크인 한 건이 저장소에서 평균 {run_ms} ms 걸리며, 대부분 디스크 커밋 시간입니다.",         \
      "저장소를 로컬 SSD에 두십시오. 네트워크 디스크는 플러시가 느립니다.\n"                       \
      "백업이나 다른 프로세스가 같은 디스크에 쓰는지 확인하십시오(pressure.io).\n"                 \
      "동기 내구성은 유지하십시오. 확인된 스캔의 근거입니다.",                                     \
      "스캔 응답이 수 밀리초로 줄어듭니다.")                                                       \
    X(store_refusals, HIGH, "The store's queue was full and operations were refused.",             \
      "{refused} operations found the store's queue full and were answered 503.",                  \
      "Scale out, or take load away: see which route asks most.\n"                                 \
      "Raise store.queue_max only when waiting is short: a longer queue answers later, not more.", \
      "No scan is sent away; scanners stop retrying.",                                             \
      "저장소 대기열이 가득 차 {refused}건의 작업이 503으로 거절되었습니다.",                      \
      "노드를 늘리거나 부하를 줄이십시오. 어느 경로의 요청이 가장 많은지 확인하십시오.\n"          \
      "대기 시간이 짧을 때만 store.queue_max를 올리십시오. 긴 대기열은 응답을 늦출 뿐입니다.",     \
      "거절되는 스캔이 없어지고 스캐너의 재시도가 멈춥니다.")                                      \
    X(store_failures, HIGH, "Store operations failed for other reasons than a full queue.",        \
      "{failures} store operations failed; the queue was not the reason.",                         \
      "See /readyz for the reason, and the log.\n"                                                 \
      "Check free disk space and the disk's own log.",                                             \
      "Answers stop being 503; writes resume by themselves.",                                      \
      "대기열과 무관하게 저장소 작업 {failures}건이 실패했습니다.",                                \
      "/readyz의 사유와 로그를 확인하십시오.\n"                                                    \
      "디스크 여유 공간과 디스크 자체의 로그를 확인하십시오.",                                     \
      "503 응답이 멈추고 쓰기가 스스로 재개됩니다.")                                               \
    X(api_errors, HIGH, "More than 1 % of at least 100 answers were errors of the server (5xx).",  \
      "{error_percent} % of the answers were server errors, most of them on {route}.",             \
      "Look for the route's requests in the log by their request id.\n"                            \
      "503 means overload or a store that cannot answer; 500 is a defect: report it.",             \
      "Clients stop retrying, which takes load away, too.",                                        \
      "응답의 {error_percent} %가 서버 오류였으며, 대부분 {route}에서 발생했습니다.",              \
      "요청 ID로 로그에서 해당 경로의 요청을 찾으십시오.\n"                                        \
      "503은 과부하 또는 저장소 문제이고, 500은 결함이므로 보고하십시오.",                         \
      "클라이언트의 재시도가 멈추어 부하도 줄어듭니다.")                                           \
    X(slow_route, MEDIUM, "A route that was asked at least 20 times has a p95 above 500 ms.",      \
      "{route} answers slowly: 5 % of its {count} answers took longer than {p95_ms} ms.",          \
      "See its slow_request lines in the log: they tell receiving, waiting, running and sending "  \
      "apart.\n"                                                                                   \
      "Ask for smaller pages or shorter spans where the route takes them.",                        \
      "The route's slowest answers come down; others no longer wait behind them.",                 \
      "{route} 응답이 느립니다. {count}건 중 5 %가 {p95_ms} ms보다 오래 걸렸습니다.",              \
      "로그의 slow_request 줄에서 수신, 대기, 실행, 전송 시간을 구분해 보십시오.\n"                \
      "가능하면 더 작은 페이지나 더 짧은 기간을 요청하십시오.",                                    \
      "이 경로의 가장 느린 응답이 개선되고 다른 요청이 뒤에서 기다리지 않습니다.")                 \
    X(request_hanging, HIGH, "A request has been in flight for more than 10 seconds.",             \
      "A request to {route} has been in flight for {oldest_s} s; {in_flight} are under way.",      \
      "See whether the store answers (/readyz) and what its slowest operation is.\n"               \
      "If it is an import or export, let it end; else look at the client's connection.",           \
      "Hanging work is found before clients time out.",                                            \
      "{route} 요청이 {oldest_s}초째 처리 중이며, 진행 중인 요청은 {in_flight}건입니다.",          \
      "저장소가 응답하는지(/readyz), 가장 느린 작업이 무엇인지 확인하십시오.\n"                    \
      "가져오기나 내보내기라면 끝나기를 기다리고, 아니면 클라이언트 연결을 확인하십시오.",         \
      "클라이언트가 시간 초과되기 전에 멈춘 작업을 찾을 수 있습니다.")                             \
    X(loop_stalls, MEDIUM, "In 5 seconds or more an event loop's turn took over 100 ms.",          \
      "Event loops were held up in {seconds} seconds of the window, at worst for {worst_ms} ms.",  \
      "See whether the processor is the reason (cpu_percent, pressure.cpu).\n"                     \
      "Large imports and exports at the rush hold up a loop: move them.",                          \
      "All requests of the loop answer faster, not only the slow ones.",                           \
      "측정 구간 중 {seconds}초 동안 이벤트 루프가 지연되었고, 최대 {worst_ms} ms였습니다.",       \
      "프로세서가 원인인지 확인하십시오(cpu_percent, pressure.cpu).\n"                             \
      "혼잡 시간의 대량 가져오기와 내보내기는 루프를 지연시키므로 시간을 옮기십시오.",             \
      "느린 요청뿐 아니라 루프의 모든 요청이 빨라집니다.")                                         \
    X(cpu_high, MEDIUM, "The processor is used above 70 % of the limit that applies.",             \
      "{cpu_percent} % of the processor limit ({cores} cores) is used; this process takes "        \
      "{process_percent} %.",                                                                      \
      "Add a node, or raise the group's limit.\n"                                                  \
      "If this process is the smaller part, find its neighbour on the machine.",                   \
      "Waiting for the processor ends; p99 falls first.",                                          \
      "프로세서 한도({cores}코어)의 {cpu_percent} %를 사용 중이며, 이 프로세스는 "                 \
      "{process_percent} %입니다.",                                                                \
      "노드를 추가하거나 그룹의 한도를 올리십시오.\n"                                              \
      "이 프로세스의 비중이 작다면 같은 머신의 다른 프로세스를 찾으십시오.",                       \
      "프로세서 대기가 사라지고 p99가 먼저 개선됩니다.")                                           \
    X(memory_high, HIGH, "Memory is used above 80 % of the limit that applies.",                   \
      "{memory_percent} % of the memory limit is used; this process holds {rss_mb} MB.",           \
      "Lower cache and body budgets, or raise the limit.\n"                                        \
      "If this process is the smaller part, find its neighbour on the machine.",                   \
      "The kernel does not end the process in the middle of the rush.",                            \
      "메모리 한도의 {memory_percent} %를 사용 중이며, 이 프로세스는 {rss_mb} MB를 차지합니다.",   \
      "캐시와 본문 예산을 줄이거나 한도를 올리십시오.\n"                                           \
      "이 프로세스의 비중이 작다면 같은 머신의 다른 프로세스를 찾으십시오.",                       \
      "혼잡 시간에 커널이 프로세스를 종료하는 일을 막습니다.")                                     \
    X(memory_growth, MEDIUM,                                                                       \
      "This process grows steadily, by 10 MB an hour or more, and would reach its limit within "   \
      "24 hours.",                                                                                 \
      "This process grows by {growth_mb_per_h} MB an hour and would reach its limit in "           \
      "{hours_left} hours.",                                                                       \
      "Compare with the load: growth without more connections is a leak; report it.\n"             \
      "Plan a rolling restart before the limit is reached.",                                       \
      "A restart at a time of your choosing instead of the kernel's.",                             \
      "이 프로세스가 시간당 {growth_mb_per_h} MB씩 늘어 {hours_left}시간 뒤 한도에 도달합니다.",   \
      "부하와 비교하십시오. 연결이 늘지 않는데 증가하면 누수이므로 보고하십시오.\n"                \
      "한도에 도달하기 전에 순차 재시작을 계획하십시오.",                                          \
      "커널이 아니라 운영자가 고른 시간에 재시작합니다.")                                          \
    X(descriptors_low, HIGH, "More than 80 % of the file descriptors are in use.",                 \
      "{open_fds} of {fds_limit} file descriptors are in use.",                                    \
      "Raise the hard limit (LimitNOFILE=, ulimit -Hn) and restart.\n"                             \
      "Lower the keep-alive time of the proxy in front.",                                          \
      "New visitors and scanners can connect.",                                                    \
      "파일 디스크립터 {fds_limit}개 중 {open_fds}개를 사용 중입니다.",                            \
      "하드 한도(LimitNOFILE=, ulimit -Hn)를 올리고 재시작하십시오.\n"                             \
      "앞단 프록시의 keep-alive 시간을 줄이십시오.",                                               \
      "새 방문자와 스캐너가 연결할 수 있습니다.")                                                  \
    X(connections_near_limit, HIGH, "More than 80 % of the connections allowed are open.",         \
      "{connections} of {limit} connections are open; further ones wait in the backlog.",          \
      "Add a node, or raise server.connections_max.\n"                                             \
      "Look for clients that open a connection for every request.",                                \
      "Nobody waits to connect.",                                                                  \
      "허용된 연결 {limit}개 중 {connections}개가 열려 있으며, 초과 연결은 대기합니다.",           \
      "노드를 추가하거나 server.connections_max를 올리십시오.\n"                                   \
      "요청마다 연결을 새로 여는 클라이언트를 찾으십시오.",                                        \
      "연결을 기다리는 클라이언트가 없어집니다.")                                                  \
    X(disk_low, HIGH, "Less than 10 % of the store's disk is free, or less than 512 MB.",          \
      "{free_mb} MB ({free_percent} %) are free on the store's disk.",                             \
      "Free space or enlarge the disk: a full disk stops all check-ins.\n"                         \
      "Move backups and logs elsewhere.",                                                          \
      "Check-ins go on; nothing is refused with no_space.",                                        \
      "저장소 디스크의 여유 공간이 {free_mb} MB({free_percent} %)입니다.",                         \
      "공간을 확보하거나 디스크를 늘리십시오. 디스크가 차면 모든 체크인이 멈춥니다.\n"             \
      "백업과 로그를 다른 곳으로 옮기십시오.",                                                     \
      "체크인이 계속되고 no_space 거절이 없습니다.")                                               \
    X(partition_horizon, HIGH, "The store's partitions end within 30 days.",                       \
      "The attendance records have partitions for {days} more days.",                              \
      "Run turnout db partitions, and see why the node did not: its log and /v1/actions.\n"        \
      "Check that the database user may create tables.",                                           \
      "No record waits for a partition to be made while doors are open.",                          \
      "출석 기록 파티션이 {days}일 뒤에 끝납니다.",                                                \
      "turnout db partitions를 실행하고, 노드가 스스로 만들지 못한 이유를 로그와 /v1/actions에서 " \
      "확인하십시오.\n"                                                                            \
      "데이터베이스 사용자에게 테이블 생성 권한이 있는지 확인하십시오.",                           \
      "입장 중에 파티션 생성을 기다리는 기록이 없어집니다.")                                       \
    X(io_pressure, MEDIUM,                                                                         \
      "For more than 10 % of the last 10 seconds everything waited for disks.",                    \
      "All work stood still for disks during {io_full_percent} % of the last 10 seconds.",         \
      "Find who writes (iotop, pidstat -d): backups, logs, another database.\n"                    \
      "Give the store a disk of its own.",                                                         \
      "Commits become fast and even.",                                                             \
      "최근 10초의 {io_full_percent} % 동안 모든 작업이 디스크를 기다렸습니다.",                   \
      "무엇이 쓰는지 찾으십시오(iotop, pidstat -d): 백업, 로그, 다른 데이터베이스.\n"              \
      "저장소에 전용 디스크를 주십시오.",                                                          \
      "커밋이 빠르고 고르게 됩니다.")                                                              \
    X(cache_hit_rate_low, MEDIUM, "Fewer than 70 % of at least 100 look-ups were hits.",           \
      "Only {hit_percent} % of {lookups} look-ups were hits; most misses were {cause}.",           \
      "Preload the critical keys: turnout cache preload.\n"                                        \
      "Let turnout cache simulate tell what more entries would give.",                             \
      "Fewer reads reach the store.",                                                              \
      "조회 {lookups}건 중 {hit_percent} %만 적중했으며, 미스의 주된 원인은 {cause}입니다.",       \
      "핵심 키를 미리 적재하십시오: turnout cache preload.\n"                                      \
      "turnout cache simulate로 항목 수를 늘렸을 때의 효과를 확인하십시오.",                       \
      "저장소까지 가는 읽기가 줄어듭니다.")                                                        \
    X(cache_too_small, LOW,                                                                        \
      "The first cache level is full and evictions cause most of 100 misses or more.",             \
      "The first cache level is full ({entries} entries) and {evicted_percent} % of the misses "   \
      "were evicted before.",                                                                      \
      "Raise its number of entries; turnout cache simulate says how far.\n"                        \
      "Check that no export walks through the cache.",                                             \
      "The hit rate rises without a change elsewhere.",                                            \
      "1차 캐시가 가득 찼고({entries}개) 미스의 {evicted_percent} %가 축출 때문입니다.",           \
      "항목 수를 늘리십시오. 적정 수는 turnout cache simulate가 알려 줍니다.\n"                    \
      "내보내기가 캐시를 훑지 않는지 확인하십시오.",                                               \
      "다른 변경 없이 적중률이 올라갑니다.")                                                       \
    X(cache_l2_down, HIGH, "The second cache level's breaker is open.",                            \
      "The second cache level does not answer ({state}); {misses} look-ups went to the store "     \
      "instead.",                                                                                  \
      "Check the Redis Cluster: its nodes, its slots, the network.\n"                              \
      "Watch the store meanwhile: it carries the load of the cache.",                              \
      "Reads come from the cache again; the store is relieved.",                                   \
      "2차 캐시가 응답하지 않습니다({state}). 조회 {misses}건이 저장소로 갔습니다.",               \
      "Redis Cluster의 노드, 슬롯, 네트워크를 확인하십시오.\n"                                     \
      "그동안 저장소를 지켜보십시오. 캐시의 부하를 대신 지고 있습니다.",                           \
      "읽기가 다시 캐시에서 처리되어 저장소의 부담이 줄어듭니다.")                                 \
    X(auth_failures, MEDIUM,                                                                       \
      "More than 50 requests came without a good key, those slowed down for it included.",         \
      "{unauthorized} requests came without a good key, {rate_limited} more were slowed down.",    \
      "See whether a scanner has an old or a revoked key (turnout key list).\n"                    \
      "Many addresses and many keys are an attack: block them at the proxy.",                      \
      "Scanners work again, or guessing ends.",                                                    \
      "유효한 키가 없는 요청이 {unauthorized}건이었고, {rate_limited}건은 속도가 제한되었습니다.", \
      "스캐너가 오래되거나 폐기된 키를 쓰는지 확인하십시오(turnout key list).\n"                   \
      "주소와 키가 많다면 공격이므로 프록시에서 차단하십시오.",                                    \
      "스캐너가 다시 동작하거나 추측 공격이 멈춥니다.")                                            \
    X(malformed_requests, LOW, "More than 20 requests were no proper HTTP/1.1.",                   \
      "{rejected} requests were refused because their head is not proper HTTP/1.1.",               \
      "Look for a broken client or a proxy that rewrites requests.\n"                              \
      "Requests crafted to be read in two ways are an attack: see the proxy's log.",               \
      "Broken clients are mended; attacks are known.",                                             \
      "HTTP/1.1에 맞지 않는 헤더 때문에 요청 {rejected}건이 거절되었습니다.",                      \
      "고장 난 클라이언트나 요청을 고쳐 쓰는 프록시를 찾으십시오.\n"                               \
      "두 가지로 해석되도록 만든 요청은 공격이므로 프록시 로그를 확인하십시오.",                   \
      "고장 난 클라이언트를 고치고 공격을 파악합니다.")                                            \
    X(client_timeouts, LOW,                                                                        \
      "More than 20 connections were ended because the client was too slow.",                      \
      "{timeouts} connections were ended because the client sent or took too little for too "      \
      "long.",                                                                                     \
      "Check the wireless network at the gates.\n"                                                 \
      "Many at once from few addresses are an attack: limit them at the proxy.",                   \
      "Scans stop being sent twice.",                                                              \
      "클라이언트가 너무 느려 연결 {timeouts}개가 종료되었습니다.",                                \
      "게이트의 무선 네트워크를 확인하십시오.\n"                                                   \
      "소수 주소에서 한꺼번에 많다면 공격이므로 프록시에서 제한하십시오.",                         \
      "스캔이 두 번 전송되지 않습니다.")                                                           \
    X(replica_lag, MEDIUM,                                                                         \
      "A standby was behind by more than store.replica_lag for over a tenth of at least 20 reads " \
      "that may lag.",                                                                             \
      "{late} of the reads that may lag ({late_percent} %) went to the primary: the standby is "   \
      "{behind_ms} ms behind, and {limit_ms} ms are allowed.",                                     \
      "See what holds its replay up: a long query there, its disk, its processor, the network "    \
      "(pg_stat_replication on the primary).\n"                                                    \
      "Raise store.replica_lag (now {limit_ms} ms, at most 900) if histories may be that old.",    \
      "The primary is relieved of {late_per_minute} reads a minute.",                              \
      "지연되어도 되는 읽기 중 {late}건({late_percent} %)이 주 서버로 갔습니다. 대기 서버가 "      \
      "{behind_ms} ms 뒤처져 있고 허용 값은 {limit_ms} ms입니다.",                                 \
      "재생을 막는 원인을 확인하십시오: 대기 서버의 긴 쿼리, 디스크, 프로세서, 네트워크(주 "       \
      "서버의 pg_stat_replication).\n"                                                             \
      "기록이 그만큼 늦어도 된다면 store.replica_lag를 올리십시오(현재 {limit_ms} ms, 최대 "       \
      "900).",                                                                                     \
      "주 서버의 읽기가 분당 {late_per_minute}건 줄어듭니다.")                                     \
    X(gate_skew, MEDIUM,                                                                           \
      "Over 5 minutes one gate of an event had at least 12 scans a minute, and more than 3 times " \
      "what its other open gates in use had on average.",                                          \
      "Gate {gate} of {event} has {gate_per_minute} scans a minute, its siblings have "            \
      "{siblings_per_minute} on average ({gates}).",                                               \
      "Send people to gate {relief} ({relief_status}, {relief_per_minute} scans a minute); if it " \
      "is closed, open it.\n"                                                                      \
      "Move scanners and staff from the quiet gates to {gate} if people cannot go elsewhere.",     \
      "Gate {gate} comes down from {gate_per_minute} to {after_per_minute} scans a minute when "   \
      "{relief} takes half of both.",                                                              \
      "{event}의 게이트 {gate}는 분당 스캔이 {gate_per_minute}건인데 다른 게이트는 평균 "          \
      "{siblings_per_minute}건입니다({gates}).",                                                   \
      "사람들을 게이트 {relief}(분당 {relief_per_minute}건)로 안내하고, 닫혀 있으면 여십시오.\n"   \
      "다른 곳으로 보낼 수 없다면 한산한 게이트의 스캐너와 인력을 {gate}로 옮기십시오.",           \
      "{relief}가 절반을 맡으면 게이트 {gate}의 스캔이 분당 {gate_per_minute}건에서 "              \
      "{after_per_minute}건으로 줄어듭니다.")

#endif
