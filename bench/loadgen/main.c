/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loadgen: plays a load against served nodes and holds them to what they acknowledged.
 *
 *   set up the event ─► open every connection ─► play ─► ask some scans again ─► compare the books
 *
 * SIGTERM ends the planning; what was planned is decided and compared all the same. One line of
 * JSON on standard output; what goes wrong, on standard error. Exit 0: played, and every book
 * agrees; 1: a fault, an empty run, or it could not be played; 2: usage.
 */
#include "audit.h"
#include "report.h"
#include "setup.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* X(name, kind, member, what it is) */
#define OPTION_TABLE(X)                                                                            \
    X("url", TEXT, targets, "nodes, http://ADDRESS:PORT,… (numeric addresses)")                    \
    X("tag", TAG, tag, "start of nonces, tokens and the event's code (made up)")                   \
    X("key-file", KEY, key, "file with the API key, an admin's (none)")                            \
    X("seconds", REAL, seconds, "how long, also each probe; curves stretch (as the load)")   \
    X("scale", TEXT, scale, "times every rate and burst, or STREAM=N,… times some (1)")            \
    X("people", REAL, people, "how many (as the load)")                                            \
    X("connections", TEXT, connections, "in all, or STREAM=N,… (as the load)")                     \
    X("timeout", REAL, timeout_s, "seconds until a request counts as lost (5)")                    \
    X("patience", REAL, patience_s, "seconds for what is not decided at the end (60)")             \
    X("replays", REAL, replays, "scans asked again behind the end (1000)")                         \
    X("seed", REAL, seed, "of everything random (1)")                                              \
    X("database", TEXT, database, "postgres://… or sqlite:PATH, compared too (none)")              \
    X("watch", TEXT, watch, "process ids whose memory, descriptors and CPU are sampled (none)")

static volatile sig_atomic_t is_told_to_end;

static void on_signal(int number) {
    (void)number;
    is_told_to_end = 1;
}

static void usage(FILE *to) {
    fputs("usage: loadgen LOAD --url http://ADDRESS:PORT,… [options]\n"
          "LOAD is a file: see bench/loads and bench/README.md.\n", to);
#define X(name, kind, member, what) fprintf(to, "  --%-12s %s\n", name, what);
    OPTION_TABLE(X)
#undef X
    fputs("  --quiet        no progress on standard error\n", to);
    fputs("Each must be 0 in the answer's \"faults\":\n", to);
#define X(name, word, what) fprintf(to, "  %-12s %s\n", word, what);
    FAULT_TABLE(X)
#undef X
}

static _Noreturn void usage_error(const char *what, const char *value) {
    fprintf(stderr, "loadgen: %s%s%s\n", what, *value != '\0' ? ": " : "", value);
    usage(stderr);
    exit(2);
}

static void set_TEXT(const char **to, const char *value) {
    *to = value;
}

static void set_REAL(double *to, const char *value) {
    char *end;
    errno = 0;
    *to = strtod(value, &end);
    if (errno != 0 || *end != '\0' || end == value || !(*to >= 0) || !isfinite(*to)) {
        usage_error("not a number from 0", value);
    }
}

static void set_TAG(char (*to)[LEDGER_TAG_SIZE], const char *value) {
    struct slice text = slice_of(value);
    if (!code_is_valid(text) || !slice_to_cstr(text, *to, sizeof *to)) {
        usage_error("a tag is 1 to 23 of A-Za-z0-9._-", value);
    }
}

/* From a file, since arguments are for everybody to see. */
static void set_KEY(char (*to)[KEY_SIZE], const char *value) {
    FILE *file = fopen(value, "re");
    if (file == NULL || fgets(*to, sizeof *to, file) == NULL) {
        usage_error("no key in the file", value);
    }
    fclose(file);
    (*to)[strcspn(*to, "\r\n")] = '\0';
}

static void set_option(struct options *options, int index, const char *value) {
    int at = 0;
#define X(name, kind, member, what)                                                                \
    if (index == at++) {                                                                           \
        set_##kind(&options->member, value);                                                       \
    }
    OPTION_TABLE(X)
#undef X
}

static void parse_options(struct options *options, int argc, char **argv) {
    static const struct option long_options[] = {
#define X(name, kind, member, what) {name, required_argument, NULL, 'x'},
        OPTION_TABLE(X)
#undef X
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int found, index = 0;
    while ((found = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
        if (found == 'h') {
            usage(stdout);
            exit(0);
        }
        if (found == 'q') {
            options->keeps_quiet = true;
        } else if (found == 'x') {
            set_option(options, index, optarg);
        } else {
            usage_error("see above", "");
        }
    }
    if (optind != argc - 1 || options->targets == NULL) {
        usage_error("name one load and --url", "");
    }
    options->load = argv[optind];
    if (options->tag[0] == '\0') {
        snprintf(options->tag, sizeof options->tag, "l%llx-%x", (unsigned long long)time(NULL),
                 (unsigned)getpid() & 0xffff);
    }
    snprintf(options->event, sizeof options->event, "load-%s", options->tag);
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void count_unanswered(struct run *run) {
    for (uint32_t number = 0; number < run->ledger.len; number++) {
        if (!ledger_is_acknowledged(&run->ledger, number)) {
            ledger_fault(&run->ledger, FAULT_UNANSWERED, "scan %u after %u tries", number,
                         run->ledger.scans[number].tries);
        }
    }
}

static bool play(struct run *run, struct http *http, struct outcome *outcome) {
    if (!setup_event(run, http) || !run_connect(run)) {
        return false;
    }
    if (run->load.search.from > 0) {
        outcome->searched = true;
        run_search(run, &outcome->found);
    } else {
        double seconds = run->options->seconds > 0 ? run->options->seconds : run->load.seconds;
        run_phase(run, &(struct phase){.seconds = seconds, .factor = 1});
    }
    count_unanswered(run);
    report_read(http, "/v1/performance/kpi", &outcome->kpi);
    report_read(http, "/v1/performance", &outcome->performance);
    if (run->ledger.acknowledged == 0) {
        fprintf(stderr, "loadgen: an empty run: no scan was acknowledged\n");
        return false;
    }
    return audit_replays(run, http) && audit_api(run, http) &&
           (run->options->database == NULL || audit_database(run, run->options->database));
}

static int conclude(struct run *run, const struct outcome *outcome) {
    report(run, outcome);
    if (run->ledger.told.len > 0) {
        fprintf(stderr, "%.*s", SLICE_ARG(buf_slice(&run->ledger.told)));
    }
    if (outcome->searched && outcome->found.rate == 0) {
        fprintf(stderr, "loadgen: no rate held\n"); /* slow, which is no fault of the books */
    }
    return ledger_holds(&run->ledger) ? 0 : 1;
}

int main(int argc, char **argv) {
    static struct run run;
    static struct outcome outcome;
    struct options options = {.scale = "1", .timeout_s = 5, .patience_s = 60, .replays = 1000,
                              .seed = 1, .is_told_to_end = &is_told_to_end};
    parse_options(&options, argc, argv);
    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    if (!run_init(&run, &options)) {
        return 2;
    }
    struct http http = {.targets = run.client.targets, .targets_len = run.client.targets_len,
                        .key = options.key, .patience_s = options.patience_s};
    int code = 1;
    if (http_init(&http) && play(&run, &http, &outcome)) {
        code = conclude(&run, &outcome);
    }
    http_fini(&http);
    run_fini(&run);
    return code;
}
