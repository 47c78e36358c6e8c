/* SPDX-License-Identifier: Apache-2.0 */
/* The event stream of the monitor's figures: who listens, and writing to them a few at a time. */
#include "api/streams_priv.h"

#include "api/call_priv.h"
#include "base/assert.h"

struct stream {
    struct stream *before, *after;
    struct call *call;
    uint64_t sent;  /* number of the event sent last */
    bool is_ready;  /* its socket has taken what was written */
    bool greeted;
    bool ends; /* as soon as it is ready */
};

void streams_init(struct streams *streams, struct api *api) {
    streams->api = api;
    buf_init(&streams->event, STREAMS_EVENT_MAX);
}

void streams_fini(struct streams *streams) {
    ASSERT(streams->count == 0 && !streams->turn_is_under_way);
    buf_fini(&streams->event);
}

/* ---- one stream ---- */

static void forget(struct streams *streams, struct stream *stream) {
    *(stream->before == NULL ? &streams->first : &stream->before->after) = stream->after;
    if (stream->after != NULL) {
        stream->after->before = stream->before;
    }
    streams->walk = streams->walk == stream ? stream->after : streams->walk;
    streams->count--;
    if (streams->count == 0) {
        loop_timer_stop(streams->beat);
        streams->beat = NULL;
        buf_clear(&streams->event); /* who comes later gets no old event */
    }
}

static void end_stream(struct streams *streams, struct stream *stream) {
    struct call *call = stream->call;
    forget(streams, stream);
    call_end_waiting(call);
    http_write(call->request, SLICE_NONE, HTTP_LAST);
}

static void write_event(struct streams *streams, struct stream *stream) {
    stream->is_ready = false;
    stream->sent = streams->number;
    http_write(stream->call->request, buf_slice(&streams->event), HTTP_MORE);
}

/* The socket has taken everything, or the client has gone. */
static void on_more(struct http_request *request, void *data) {
    struct stream *stream = data;
    struct streams *streams = &stream->call->api->streams;
    stream->is_ready = true;
    if (streams->is_draining || stream->ends || http_is_gone(request)) {
        end_stream(streams, stream);
    } else if (!stream->greeted) {
        stream->greeted = true;
        stream->is_ready = false;
        http_write(request, SLICE_LIT("retry: 2000\n\n"), HTTP_MORE);
    } else if (stream->sent != streams->number && streams->event.len > 0) {
        write_event(streams, stream);
    }
}

/* ---- all of them ---- */

static void walk(struct streams *streams);

static void on_turn(struct loop_message *message) {
    struct streams *streams =
        (struct streams *)(void *)((char *)message - offsetof(struct streams, turn));
    streams->turn_is_under_way = false;
    streams->api->waiting--;
    walk(streams);
}

static void walk(struct streams *streams) {
    for (int i = 0; i < STREAMS_A_TURN && streams->walk != NULL; i++) {
        struct stream *stream = streams->walk;
        streams->walk = stream->after;
        if (stream->is_ready && stream->sent != streams->number) {
            write_event(streams, stream);
        }
    }
    if (streams->walk != NULL && !streams->turn_is_under_way) {
        streams->turn_is_under_way = true;
        streams->turn.fn = on_turn;
        streams->api->waiting++;
        loop_post(streams->api->loop, &streams->turn);
    }
}

static void say(struct streams *streams) {
    streams->number++;
    streams->walk = streams->first;
    walk(streams);
}

void streams_offer(struct document *document, void *data) {
    struct streams *streams = data;
    if (streams->count > 0) {
        buf_clear(&streams->event);
        buf_printf(&streams->event, "event: performance\nid: %llu\ndata: ",
                   (unsigned long long)streams->number + 1);
        buf_add(&streams->event, document_text(document));
        buf_add_text(&streams->event, "\n\n");
        say(streams);
    }
    document_unref(document);
}

static void on_beat(void *data) {
    struct streams *streams = data;
    if (streams->number == streams->said) {
        buf_clear(&streams->event);
        buf_add_text(&streams->event, ": nothing new\n\n");
        say(streams);
    }
    streams->said = streams->number;
}

void streams_end_all(struct streams *streams) {
    for (struct stream *next, *stream = streams->first; stream != NULL; stream = next) {
        next = stream->after;
        stream->ends = true;
        if (stream->is_ready) {
            end_stream(streams, stream);
        }
    }
}

void streams_drain(struct streams *streams) {
    streams->is_draining = true;
    streams_end_all(streams);
}

/* ---- the route ---- */

static enum err_e add_stream(struct call *call, struct stream **ret_stream) {
    struct streams *streams = &call->api->streams;
    struct stream *stream = arena_zalloc(call->arena, sizeof *stream);
    if (stream == NULL) {
        return ERR_NO_MEMORY;
    }
    if (streams->count == STREAMS_MAX) {
        return ERR_OVERLOADED;
    }
    if (streams->beat == NULL) {
        streams->beat = loop_timer_start(call->api->loop, STREAMS_BEAT_MS, STREAMS_BEAT_MS,
                                         on_beat, streams);
        if (streams->beat == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    stream->call = call;
    stream->after = streams->first;
    if (streams->first != NULL) {
        streams->first->before = stream;
    }
    streams->first = stream;
    streams->count++;
    *ret_stream = stream;
    return ERR_OK;
}

void handle_stream_performance(struct call *call) {
    struct problem problem = {.field = ""};
    struct stream *stream = NULL;
    enum err_e err = call->api->cells == NULL
                         ? problem_set(&problem, ERR_UNAVAILABLE, "", "this node has no monitor")
                         : add_stream(call, &stream);
    if (err != ERR_OK) {
        call_fail(call, err, &problem);
        return;
    }
    cells_stream(call->api->cells, &call->measured);
    call_begin_waiting(call);
    http_add_field(call->request, "cache-control", SLICE_LIT("no-store"));
    http_add_field(call->request, "x-content-type-options", SLICE_LIT("nosniff"));
    http_add_field(call->request, "x-accel-buffering", SLICE_LIT("no"));
    http_begin(call->request, 200, "text/event-stream", on_more, stream);
}
