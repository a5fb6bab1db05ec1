
#include "unit_stream.h"


#define UNIT_MAX  (16 * 1024 * 1024)


static ngx_int_t unit_deliver(void *ctx, ngx_pulse_answer_event_t *ev);
static ngx_int_t unit_stream_sse(void *ctx, ngx_pulse_sse_event_t *ev);


void
unit_start(unit_stream_t *s, ngx_pulse_dialect_t *dialect)
{
    unit_translate(s, dialect, dialect);
}


void
unit_translate(unit_stream_t *s, ngx_pulse_dialect_t *dialect,
    ngx_pulse_dialect_t *client)
{
    memset(s, 0, sizeof(unit_stream_t));

    s->pool = unit_pool();
    s->dialect = dialect;
    s->client = client;
    s->reader = calloc(1, dialect->reader_size);
    s->writer = calloc(1, client->writer_size);
    s->cv.pool = s->pool;
    s->cv.include_usage = 1;
    s->cv.lost = &s->lost;

    ngx_pulse_buf_init(&s->out, 0);
    check_int(ngx_pulse_relay_init(&s->relay, &s->cv, unit_deliver, s),
              NGX_OK);
    check_int(ngx_pulse_collector_init(&s->collector, s->pool, UNIT_MAX),
              NGX_OK);
}


void
unit_end(unit_stream_t *s)
{
    check_int(s->out.failed, 0);

    ngx_pulse_buf_free(&s->out);
    ngx_destroy_pool(s->pool);
    free(s->reader);
    free(s->writer);
}


ngx_int_t
unit_feed(unit_stream_t *s, const u_char *p, size_t len, size_t first,
    size_t step)
{
    u_char           *copy;
    size_t            pos, n;
    ngx_int_t         rc;
    ngx_pulse_sse_t   sse;

    ngx_pulse_sse_init(&sse, UNIT_MAX, unit_stream_sse, s);

    rc = NGX_OK;

    for (pos = 0; pos < len && rc == NGX_OK; pos += n) {
        n = (pos == 0 && first) ? first : step;
        n = ngx_min(n, len - pos);

        /* a block of its own, so that a read past its end is seen */

        copy = malloc(n);
        memcpy(copy, p + pos, n);
        rc = ngx_pulse_sse_feed(&sse, copy, n);
        free(copy);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_sse_finish(&sse);
    }

    ngx_pulse_sse_free(&sse);

    if (rc == NGX_OK) {
        rc = s->dialect->read_end(s->reader, unit_event, s);
    }

    return rc;
}


ngx_int_t
unit_whole(unit_stream_t *s, const ngx_str_t *body)
{
    return s->dialect->read_answer(s->pool, body, unit_event, s);
}


static ngx_int_t
unit_stream_sse(void *ctx, ngx_pulse_sse_event_t *ev)
{
    unit_stream_t *s = ctx;

    if (!ev->has_data) {
        return NGX_OK;
    }

    return unit_read_event(s->dialect, s->reader, ev, unit_event, s);
}


ngx_int_t
unit_event(void *ctx, ngx_pulse_answer_event_t *ev)
{
    unit_stream_t *s = ctx;

    return ngx_pulse_relay(&s->relay, ev);
}


static ngx_int_t
unit_deliver(void *ctx, ngx_pulse_answer_event_t *ev)
{
    unit_stream_t *s = ctx;

    s->ends += (ev->type == NGX_PULSE_ANSWER_END);
    s->errors += (ev->type == NGX_PULSE_ANSWER_ERROR);

    s->client->write_event(s->writer, &s->cv, ev, &s->out);

    return ngx_pulse_collect(&s->collector, ev);
}


void
unit_gather(ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b)
{
    ngx_pulse_part_t  *part;

    for (part = collector->parts; part; part = part->next) {

        switch (part->type) {

        case NGX_PULSE_PART_TEXT:

            if (part->text.len == 0 && part->signature.len == 0) {
                continue;
            }

            ngx_pulse_buf_literal(b, "text ");
            ngx_pulse_buf_str(b, &part->text);
            break;

        case NGX_PULSE_PART_THINKING:
            ngx_pulse_buf_literal(b, "thinking ");
            ngx_pulse_buf_str(b, &part->text);
            break;

        case NGX_PULSE_PART_REFUSAL:
            ngx_pulse_buf_literal(b, "refusal ");
            ngx_pulse_buf_str(b, &part->text);
            break;

        case NGX_PULSE_PART_REDACTED:
            ngx_pulse_buf_literal(b, "redacted ");
            ngx_pulse_buf_str(b, &part->data);
            ngx_pulse_buf_char(b, '\n');
            continue;

        default: /* NGX_PULSE_PART_CALL */
            ngx_pulse_buf_literal(b, "call ");
            ngx_pulse_buf_str(b, &part->id);
            ngx_pulse_buf_char(b, ' ');
            ngx_pulse_buf_str(b, &part->name);

            if (part->custom) {
                ngx_pulse_buf_literal(b, " custom");
            }

            ngx_pulse_buf_char(b, ' ');
            ngx_pulse_buf_str(b, &part->arguments);
        }

        ngx_pulse_buf_char(b, '|');
        ngx_pulse_buf_str(b, &part->signature);
        ngx_pulse_buf_char(b, '\n');
    }
}


void
unit_same_answer(ngx_pulse_collector_t *one, ngx_pulse_collector_t *two)
{
    ngx_pulse_buf_t  a, b;

    ngx_pulse_buf_init(&a, 0);
    ngx_pulse_buf_init(&b, 0);

    unit_gather(one, &a);
    unit_gather(two, &b);

    check_mem(b.data, b.len, a.data, a.len);
    check_mem(two->id.data, two->id.len, one->id.data, one->id.len);
    check_mem(two->model.data, two->model.len, one->model.data,
              one->model.len);
    check_int(two->finish, one->finish);

    check_int(two->usage.known, one->usage.known);
    check_int(two->usage.input, one->usage.input);
    check_int(two->usage.cached, one->usage.cached);
    check_int(two->usage.cache_write, one->usage.cache_write);
    check_int(two->usage.cache_hour, one->usage.cache_hour);
    check_int(two->usage.output, one->usage.output);
    check_int(two->usage.reasoning, one->usage.reasoning);

    ngx_pulse_buf_free(&b);
    ngx_pulse_buf_free(&a);
}


void
unit_names(const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i;

    for (i = 0; i < dropped->n; i++) {

        if (i) {
            ngx_pulse_buf_char(b, ',');
        }

        ngx_pulse_buf_str(b, &dropped->names[i]);
    }
}


void
unit_target(ngx_pulse_target_t *target, const char *letters, int64_t max)
{
    memset(target, 0, sizeof(ngx_pulse_target_t));

    target->model = unit_str("m");
    target->max_tokens = max;
    target->max_tokens_name = unit_str(strchr(letters, 'm')
                                       ? "max_tokens"
                                       : "max_completion_tokens");
    target->efforts = strchr(letters, '1') ? 1 << NGX_PULSE_EFFORT_LOW
                                             | 1 << NGX_PULSE_EFFORT_HIGH : 0;
    target->thinking_budget = (strchr(letters, 'b') != NULL);
    target->effort = (strchr(letters, 'e') != NULL);
    target->forced_choice = (strchr(letters, 'f') != NULL);
    target->https_images = (strchr(letters, 'h') != NULL);
    target->system_inside = (strchr(letters, 'i') != NULL);
    target->effort_none = (strchr(letters, 'n') != NULL);
    target->thinking_off = (strchr(letters, 'o') != NULL);
    target->prefill = (strchr(letters, 'p') != NULL);
    target->reasoning_content = (strchr(letters, 'r') != NULL);
    target->sampling = (strchr(letters, 's') != NULL);
    target->between_tools = (strchr(letters, 't') != NULL);
}


ngx_pulse_json_value_t *
unit_tree(ngx_pool_t *pool, const u_char *p, size_t len)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    limits.size = UNIT_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 1024 * 1024;
    limits.keys = 4096;

    return ngx_pulse_json_tree(pool, p, len, &limits, &err);
}


ngx_uint_t
unit_same(ngx_pulse_json_value_t *a, ngx_pulse_json_value_t *b)
{
    char                     key[256];
    ngx_pulse_json_value_t  *child, *other;

    if (a == NULL || b == NULL || a->type != b->type || a->nelts != b->nelts
        || a->boolean != b->boolean || a->string.len != b->string.len
        || (a->string.len
            && memcmp(a->string.data, b->string.data, a->string.len) != 0))
    {
        return 0;
    }

    other = b->children;

    for (child = a->children; child; child = child->next) {

        if (a->type == NGX_PULSE_JSON_OBJECT) {
            (void) snprintf(key, sizeof(key), "%.*s", (int) child->key.len,
                            child->key.data);
            other = ngx_pulse_json_get(b, key);
        }

        if (!unit_same(child, other)) {
            return 0;
        }

        other = other->next;
    }

    return 1;
}


int64_t
unit_number(ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    if (member == NULL || ngx_pulse_json_int(&member->string, &n) != NGX_OK) {
        return 0;
    }

    return n;
}


ngx_str_t
unit_string(ngx_pulse_json_value_t *v, const char *key)
{
    ngx_str_t                empty;
    ngx_pulse_json_value_t  *member;

    ngx_str_null(&empty);
    member = ngx_pulse_member(v, key);

    return member ? member->string : empty;
}


ngx_str_t
unit_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}


ngx_str_t
unit_text(const ngx_pulse_buf_t *b)
{
    ngx_str_t  str;

    str.data = b->data;
    str.len = b->len;

    return str;
}
