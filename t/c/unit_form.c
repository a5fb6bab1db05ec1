
#include "unit_form.h"
#include "ngx_pulse_anthropic.h"
#include "ngx_pulse_gemini.h"
#include "ngx_pulse_openai.h"
#include "ngx_pulse_responses.h"


static ngx_pulse_form_t *unit_form_of(unit_form_t *f, void *state);
static ngx_int_t unit_form_said(void *ctx, ngx_pulse_answer_event_t *ev);
static void unit_form_note(ngx_pulse_buf_t *b, const ngx_str_t *s);


void
unit_form_start(unit_form_t *f, ngx_pulse_dialect_t *dialect)
{
    f->dialect = dialect;
    f->knows = calloc(1, dialect->reader_size);
    f->forgets = calloc(1, dialect->reader_size);
    f->known = 0;

    ngx_pulse_buf_init(&f->said, 0);
    ngx_pulse_buf_init(&f->expected, 0);
}


void
unit_form_end(unit_form_t *f)
{
    free(f->knows);
    free(f->forgets);

    ngx_pulse_buf_free(&f->said);
    ngx_pulse_buf_free(&f->expected);
}


ngx_uint_t
unit_form_event(unit_form_t *f, const ngx_pulse_sse_event_t *ev)
{
    ngx_str_t          values[NGX_PULSE_FORM_SLOTS];
    ngx_int_t          rc;
    ngx_pool_t        *pool;
    ngx_pulse_form_t   form;

    pool = unit_pool();

    form = *unit_form_of(f, f->knows);
    f->known += (ngx_pulse_form_match(&form, pool, &ev->data, values)
                 == NGX_OK);

    ngx_destroy_pool(pool);

    ngx_pulse_form_forget(unit_form_of(f, f->forgets));

    f->said.len = 0;
    f->expected.len = 0;

    rc = unit_read_event(f->dialect, f->knows, ev, unit_form_said, &f->said);

    return rc == unit_read_event(f->dialect, f->forgets, ev, unit_form_said,
                                 &f->expected)
           && f->said.len == f->expected.len
           && (f->said.len == 0
               || memcmp(f->said.data, f->expected.data, f->said.len) == 0);
}


static ngx_pulse_form_t *
unit_form_of(unit_form_t *f, void *state)
{
    if (f->dialect == &ngx_pulse_dialect_anthropic) {
        return &((ngx_pulse_anthropic_reader_t *) state)->form;
    }

    if (f->dialect == &ngx_pulse_dialect_gemini) {
        return &((ngx_pulse_gemini_reader_t *) state)->form;
    }

    if (f->dialect == &ngx_pulse_dialect_responses) {
        return &((ngx_pulse_responses_answer_t *) state)->form;
    }

    return &((ngx_pulse_openai_stream_t *) state)->form;
}


/* all that a writer can make anything of */

static ngx_int_t
unit_form_said(void *ctx, ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_buf_t *b = ctx;

    int64_t     numbers[11];
    ngx_uint_t  i;

    numbers[0] = ev->type;
    numbers[1] = ev->choice;
    numbers[2] = ev->index;
    numbers[3] = ev->finish;
    numbers[4] = ev->custom;
    numbers[5] = ev->usage.known;
    numbers[6] = ev->usage.input;
    numbers[7] = ev->usage.output;
    numbers[8] = ev->usage.cached;
    numbers[9] = ev->usage.reasoning;
    numbers[10] = ev->usage.cache_write;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        ngx_pulse_buf_int(b, numbers[i]);
        ngx_pulse_buf_char(b, ' ');
    }

    /* a call that has no id gets one at random */

    if (ev->type != NGX_PULSE_ANSWER_CALL) {
        unit_form_note(b, &ev->id);
    }

    unit_form_note(b, &ev->model);
    unit_form_note(b, &ev->name);
    unit_form_note(b, &ev->text);
    unit_form_note(b, &ev->logprobs);
    unit_form_note(b, &ev->signature);
    unit_form_note(b, &ev->native);
    unit_form_note(b, &ev->stop);
    unit_form_note(b, &ev->error.message);

    if (ev->citation) {
        unit_form_note(b, &ev->citation->url);
        unit_form_note(b, &ev->citation->title);
    }

    return NGX_OK;
}


static void
unit_form_note(ngx_pulse_buf_t *b, const ngx_str_t *s)
{
    ngx_pulse_buf_int(b, s->len);
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_str(b, s);
}
