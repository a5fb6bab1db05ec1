
#include "unit_form.h"
#include "unit_recording.h"
#include "ngx_pulse_openai.h"


/*
 * What readers say of recorded streams is the same whether they know the form
 * of an event or not, and so is what they say of events that are nearly the
 * last one: each is read again with a few bytes changed.
 */


#define CHANGES  6


static void test_api(const char *api, ngx_pulse_dialect_t *dialect);
static void test_recording(unit_recording_t *recording);
static void test_feed(ngx_str_t *body, size_t step, ngx_uint_t changes);
static ngx_int_t test_event(void *ctx, ngx_pulse_sse_event_t *ev);
static void test_passing(unit_recording_t *recording);
static ngx_int_t test_passed(void *ctx, ngx_pulse_sse_event_t *ev);
static void test_changed(unit_form_t *f, ngx_pulse_sse_event_t *ev);
static ngx_uint_t test_random(ngx_uint_t n);


static ngx_pulse_dialect_t  *test_dialect;
static ngx_uint_t            test_changes;
static ngx_uint_t            test_known;
static uint64_t              test_seed = 7;


int
main(void)
{
    test_api("openai.chat", &ngx_pulse_dialect_openai);
    test_api("openai.responses", &ngx_pulse_dialect_responses);
    test_api("anthropic.messages", &ngx_pulse_dialect_anthropic);
    test_api("gemini.generateContent", &ngx_pulse_dialect_gemini);

    return unit_done();
}


static void
test_api(const char *api, ngx_pulse_dialect_t *dialect)
{
    ngx_uint_t  n;

    if (unit_shared() == NULL) {
        return;
    }

    test_dialect = dialect;
    test_known = 0;

    n = unit_recordings(api, test_recording);

    check(n > 20);
    check(test_known > 50);

    printf("# %s: %lu recordings, %lu events known by their form\n", api,
           (unsigned long) n, (unsigned long) test_known);
}


static void
test_recording(unit_recording_t *recording)
{
    if (!recording->stream) {
        return;
    }

    if (test_dialect == &ngx_pulse_dialect_openai) {
        test_passing(recording);
    }

    test_feed(&recording->body, recording->body.len, 0);
    test_feed(&recording->body, 1, 0);
    test_feed(&recording->body, recording->body.len, CHANGES);
}


static void
test_feed(ngx_str_t *body, size_t step, ngx_uint_t changes)
{
    size_t           from, n;
    unit_form_t      f;
    ngx_pulse_sse_t  sse;

    test_changes = changes;

    unit_form_start(&f, test_dialect);
    ngx_pulse_sse_init(&sse, 64 * 1024 * 1024, test_event, &f);

    for (from = 0; from < body->len; from += n) {
        n = ngx_min(step, body->len - from);
        check_int(ngx_pulse_sse_feed(&sse, body->data + from, n), NGX_OK);
    }

    check_int(ngx_pulse_sse_finish(&sse), NGX_OK);

    test_known += changes ? 0 : f.known;

    ngx_pulse_sse_free(&sse);
    unit_form_end(&f);
}


static ngx_int_t
test_event(void *ctx, ngx_pulse_sse_event_t *ev)
{
    unit_form_t *f = ctx;

    ngx_uint_t  i;

    if (!ev->has_data) {
        return NGX_OK;
    }

    check(unit_form_event(f, ev));

    for (i = 0; i < test_changes && ev->data.len < 4096; i++) {
        test_changed(f, ev);
        check(unit_form_event(f, ev));
    }

    return NGX_OK;
}


/* where bytes pass: what is found in an event, and the event less its usage */

static void
test_passing(unit_recording_t *recording)
{
    ngx_pulse_sse_t             sse;
    ngx_pulse_openai_answer_t   answers[2];

    ngx_memzero(answers, sizeof(answers));
    answers[0].hide = 1;
    answers[1].hide = 1;

    ngx_pulse_sse_init(&sse, 64 * 1024 * 1024, test_passed, answers);

    check_int(ngx_pulse_sse_feed(&sse, recording->body.data,
                                 recording->body.len),
              NGX_OK);

    ngx_pulse_sse_free(&sse);
}


static ngx_int_t
test_passed(void *ctx, ngx_pulse_sse_event_t *ev)
{
    ngx_pulse_openai_answer_t *answers = ctx;

    ngx_uint_t                  i, action[2];
    ngx_pulse_buf_t             edited[2];
    ngx_pulse_openai_answer_t  *answer;

    test_known += answers[0].form.kept;

    for (i = 0; i < 2; i++) {
        ngx_pulse_buf_init(&edited[i], 0);
        action[i] = ngx_pulse_openai_event(&answers[i], ev, &edited[i]);
    }

    answer = &answers[1];

    check_int(action[0], action[1]);
    check_mem(edited[0].data, edited[0].len, edited[1].data, edited[1].len);
    check_mem(&answers[0].usage_at, sizeof(ngx_pulse_openai_span_t),
              &answer->usage_at, sizeof(ngx_pulse_openai_span_t));
    check_mem(&answers[0].output, sizeof(ngx_pulse_tokens_t),
              &answer->output, sizeof(ngx_pulse_tokens_t));
    check_int(answers[0].deltas, answer->deltas);
    check_int(answers[0].bore, answer->bore);

    ngx_pulse_form_forget(&answer->form);

    ngx_pulse_buf_free(&edited[0]);
    ngx_pulse_buf_free(&edited[1]);

    return NGX_OK;
}


static void
test_changed(unit_form_t *f, ngx_pulse_sse_event_t *ev)
{
    u_char                 *p;
    ngx_uint_t              i;
    ngx_pulse_sse_event_t   changed;

    static const u_char  bytes[] = "\"\\0159-.e,:{}[] antx\330\263\001";

    changed = *ev;
    changed.data.data = p = malloc(ev->data.len + 1);

    if (p == NULL || ev->data.len == 0) {
        free(p);
        return;
    }

    memcpy(p, ev->data.data, ev->data.len);

    for (i = test_random(3) + 1; i; i--) {
        p[test_random(ev->data.len)] = bytes[test_random(sizeof(bytes) - 1)];
    }

    check(unit_form_event(f, &changed));

    /* one byte less, at any place, and one more */

    i = test_random(ev->data.len);
    memcpy(p, ev->data.data, i);
    memcpy(p + i, ev->data.data + i + 1, ev->data.len - i - 1);
    changed.data.len = ev->data.len - 1;

    check(unit_form_event(f, &changed));

    p[i] = bytes[test_random(sizeof(bytes) - 1)];
    memcpy(p + i + 1, ev->data.data + i, ev->data.len - i);
    changed.data.len = ev->data.len + 1;

    check(unit_form_event(f, &changed));

    free(p);
}


static ngx_uint_t
test_random(ngx_uint_t n)
{
    test_seed = test_seed * 6364136223846793005 + 1442695040888963407;

    return (test_seed >> 33) % n;
}
