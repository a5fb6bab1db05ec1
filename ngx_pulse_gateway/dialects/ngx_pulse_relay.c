
#include "ngx_pulse_conversation.h"

#include <string.h>


#define NGX_PULSE_RELAY_TEXT_MAX   (1024 * 1024)
#define NGX_PULSE_RELAY_HELD_MAX   64

/* of all citations of an answer: how many, and bytes of what they say */

#define NGX_PULSE_RELAY_CITED_MAX  1024
#define NGX_PULSE_RELAY_SAID_MAX   (1024 * 1024)

#define NGX_PULSE_RELAY_MARK       4096         /* bytes between two */
#define NGX_PULSE_RELAY_MARKS      (NGX_PULSE_RELAY_TEXT_MAX                  \
                                    / NGX_PULSE_RELAY_MARK + 1)

#define NGX_PULSE_RELAY_ONES       0x0101010101010101


static ngx_int_t ngx_pulse_relay_text(ngx_pulse_relay_t *relay,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_relay_citation(ngx_pulse_relay_t *relay,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_relay_hold(ngx_pulse_relay_t *relay,
    const ngx_pulse_citation_t *citation);
static ngx_int_t ngx_pulse_relay_copy(ngx_pool_t *pool, ngx_str_t *to,
    const ngx_str_t *from);
static ngx_int_t ngx_pulse_relay_release(ngx_pulse_relay_t *relay);
static ngx_int_t ngx_pulse_relay_cite(ngx_pulse_relay_t *relay,
    ngx_pulse_citation_t *citation);
static ngx_uint_t ngx_pulse_relay_much(ngx_pulse_relay_t *relay,
    const ngx_pulse_citation_t *citation);
static void ngx_pulse_relay_find(ngx_pulse_relay_t *relay,
    ngx_pulse_citation_t *citation);
static ngx_int_t ngx_pulse_relay_mark(ngx_pulse_relay_t *relay);
static int64_t ngx_pulse_relay_before(const ngx_pulse_relay_t *relay,
    size_t pos);
static int64_t ngx_pulse_relay_bytes(const ngx_pulse_relay_t *relay,
    int64_t chars);
static int64_t ngx_pulse_relay_chars(const u_char *p, size_t len);


ngx_int_t
ngx_pulse_relay_init(ngx_pulse_relay_t *relay,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_memzero(relay, sizeof(ngx_pulse_relay_t));

    relay->cv = cv;
    relay->handler = handler;
    relay->ctx = ctx;
    relay->last = &relay->held;

    return ngx_pulse_buf_init_pool(&relay->text, NGX_PULSE_RELAY_TEXT_MAX,
                                   cv->pool);
}


ngx_int_t
ngx_pulse_relay(void *ctx, ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_relay_t *relay = ctx;

    ngx_int_t  rc;

    if (ev->type == NGX_PULSE_ANSWER_LOST) {
        ngx_pulse_lost_name(relay->cv, &ev->name);
        return NGX_OK;
    }

    if (ev->choice != 0) {
        return relay->handler(relay->ctx, ev);
    }

    switch (ev->type) {

    case NGX_PULSE_ANSWER_TEXT:
        return ngx_pulse_relay_text(relay, ev);

    case NGX_PULSE_ANSWER_CITATION:
        return ngx_pulse_relay_citation(relay, ev);

    case NGX_PULSE_ANSWER_START:
    case NGX_PULSE_ANSWER_SIGNATURE:
    case NGX_PULSE_ANSWER_ARGUMENTS:
    case NGX_PULSE_ANSWER_CALL_END:
    case NGX_PULSE_ANSWER_USAGE:
        return relay->handler(relay->ctx, ev);

    default:
        rc = ngx_pulse_relay_release(relay);
        relay->open = 0;

        return (rc == NGX_OK) ? relay->handler(relay->ctx, ev) : rc;
    }
}


/* a text of more than a megabyte is cited without the places */

static ngx_int_t
ngx_pulse_relay_text(ngx_pulse_relay_t *relay, ngx_pulse_answer_event_t *ev)
{
    if (!relay->open) {
        relay->open = 1;
        relay->part = relay->chars;
    }

    if (ev->text.len) {
        ngx_pulse_buf_str(&relay->text, &ev->text);
        relay->chars += ngx_pulse_relay_chars(ev->text.data, ev->text.len);
    }

    return relay->handler(relay->ctx, ev);
}


static ngx_int_t
ngx_pulse_relay_citation(ngx_pulse_relay_t *relay,
    ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_citation_t  *citation;

    citation = ev->citation;

    if (ngx_pulse_relay_much(relay, citation)) {
        ngx_pulse_lost(relay->cv, "citations");
        return NGX_OK;
    }

    switch (citation->unit) {

    case NGX_PULSE_CITED_BLOCK:
        return ngx_pulse_relay_hold(relay, citation);

    case NGX_PULSE_CITED_PART:

        if (citation->end > INT64_MAX - relay->part
            || citation->start > citation->end)
        {
            citation->start = 0;
            citation->end = 0;

        } else if (citation->end) {
            citation->start += relay->part;
            citation->end += relay->part;
        }

        break;

    case NGX_PULSE_CITED_BYTES:

        if (ngx_pulse_relay_mark(relay) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_pulse_relay_find(relay, citation);
        break;

    default: /* NGX_PULSE_CITED_HERE */
        break;
    }

    return ngx_pulse_relay_cite(relay, citation);
}


static ngx_int_t
ngx_pulse_relay_hold(ngx_pulse_relay_t *relay,
    const ngx_pulse_citation_t *citation)
{
    ngx_pool_t            *pool;
    ngx_pulse_citation_t  *copy;

    pool = relay->cv->pool;

    if (relay->nheld == NGX_PULSE_RELAY_HELD_MAX) {
        ngx_pulse_lost(relay->cv, "citations");
        return NGX_OK;
    }

    copy = ngx_pcalloc(pool, sizeof(ngx_pulse_citation_t));

    if (copy == NULL
        || ngx_pulse_relay_copy(pool, &copy->url, &citation->url) != NGX_OK
        || ngx_pulse_relay_copy(pool, &copy->title, &citation->title)
           != NGX_OK
        || ngx_pulse_relay_copy(pool, &copy->text, &citation->text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    relay->nheld++;
    *relay->last = copy;
    relay->last = &copy->next;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_relay_copy(ngx_pool_t *pool, ngx_str_t *to, const ngx_str_t *from)
{
    if (from->len == 0) {
        return NGX_OK;
    }

    to->data = ngx_pnalloc(pool, from->len);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, from->data, from->len);
    to->len = from->len;

    return NGX_OK;
}


/* The part is over, which the citations are of. */

static ngx_int_t
ngx_pulse_relay_release(ngx_pulse_relay_t *relay)
{
    ngx_int_t              rc;
    ngx_pulse_citation_t  *citation;

    rc = NGX_OK;

    for (citation = relay->held; citation && rc == NGX_OK;
         citation = citation->next)
    {
        if (relay->open) {
            citation->start = relay->part;
            citation->end = relay->chars;
        }

        rc = ngx_pulse_relay_cite(relay, citation);
    }

    relay->nheld = 0;
    relay->held = NULL;
    relay->last = &relay->held;

    return rc;
}


/* Says it with its place, if that makes sense, in both measures. */

static ngx_int_t
ngx_pulse_relay_cite(ngx_pulse_relay_t *relay, ngx_pulse_citation_t *citation)
{
    ngx_pulse_answer_event_t  ev;

    citation->unit = NGX_PULSE_CITED_HERE;
    citation->part = relay->part;
    citation->from = 0;
    citation->to = 0;

    if (citation->end <= citation->start) {
        citation->start = 0;
        citation->end = 0;

    } else if (!relay->text.failed && citation->end <= relay->chars) {

        if (ngx_pulse_relay_mark(relay) != NGX_OK) {
            return NGX_ERROR;
        }

        citation->from = ngx_pulse_relay_bytes(relay, citation->start);
        citation->to = ngx_pulse_relay_bytes(relay, citation->end);
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_CITATION;
    ev.citation = citation;

    return relay->handler(relay->ctx, &ev);
}


/* A few numbers of an answer may stand for a source of any length. */

static ngx_uint_t
ngx_pulse_relay_much(ngx_pulse_relay_t *relay,
    const ngx_pulse_citation_t *citation)
{
    size_t  said;

    said = citation->url.len + citation->title.len + citation->text.len;

    if (relay->cited == NGX_PULSE_RELAY_CITED_MAX
        || said > NGX_PULSE_RELAY_SAID_MAX - relay->said)
    {
        return 1;
    }

    relay->cited++;
    relay->said += said;

    return 0;
}


/*
 * Bytes may be those of one of several parts, as the provider cut them: it
 * is where the words are that counts.
 */

static void
ngx_pulse_relay_find(ngx_pulse_relay_t *relay, ngx_pulse_citation_t *citation)
{
    u_char     *p;
    size_t      start, len;
    ngx_str_t  *quote;

    quote = &citation->quote;
    start = citation->start;
    len = citation->end - citation->start;

    citation->start = 0;
    citation->end = 0;

    if (relay->text.failed || start > relay->text.len
        || len > relay->text.len - start)
    {
        return;
    }

    p = relay->text.data + start;

    if (quote->len
        && (quote->len != len || ngx_memcmp(p, quote->data, len) != 0))
    {
        p = memmem(relay->text.data, relay->text.len, quote->data,
                   quote->len);
        len = quote->len;
    }

    if (p && len) {
        start = p - relay->text.data;

        citation->start = ngx_pulse_relay_before(relay, start);
        citation->end = ngx_pulse_relay_before(relay, start + len);
    }
}


/* Marks what has come: how many characters are before each so many bytes. */

static ngx_int_t
ngx_pulse_relay_mark(ngx_pulse_relay_t *relay)
{
    size_t   pos;
    int64_t  chars;

    if (relay->marks == NULL) {
        relay->marks = ngx_palloc(relay->cv->pool, NGX_PULSE_RELAY_MARKS
                                                   * sizeof(int64_t));
        if (relay->marks == NULL) {
            return NGX_ERROR;
        }

        relay->marks[0] = 0;
        relay->nmarks = 1;
    }

    while (relay->text.len >= relay->nmarks * NGX_PULSE_RELAY_MARK) {
        pos = (relay->nmarks - 1) * NGX_PULSE_RELAY_MARK;
        chars = ngx_pulse_relay_chars(relay->text.data + pos,
                                      NGX_PULSE_RELAY_MARK);

        relay->marks[relay->nmarks] = relay->marks[relay->nmarks - 1] + chars;
        relay->nmarks++;
    }

    return NGX_OK;
}


static int64_t
ngx_pulse_relay_before(const ngx_pulse_relay_t *relay, size_t pos)
{
    size_t  i;

    i = pos / NGX_PULSE_RELAY_MARK;

    return relay->marks[i]
           + ngx_pulse_relay_chars(relay->text.data
                                   + i * NGX_PULSE_RELAY_MARK,
                                   pos - i * NGX_PULSE_RELAY_MARK);
}


static int64_t
ngx_pulse_relay_bytes(const ngx_pulse_relay_t *relay, int64_t chars)
{
    size_t                  i;
    const ngx_pulse_buf_t  *text;

    text = &relay->text;

    for (i = relay->nmarks - 1; relay->marks[i] > chars; i--) { /* void */ }

    chars -= relay->marks[i];

    for (i *= NGX_PULSE_RELAY_MARK; i < text->len; i++) {

        if ((text->data[i] & 0xc0) != 0x80 && chars-- == 0) {
            break;
        }
    }

    return i;
}


/* All bytes but those that continue a character. */

static int64_t
ngx_pulse_relay_chars(const u_char *p, size_t len)
{
    size_t    i;
    int64_t   n;
    uint64_t  word;

    n = len;

    for (i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
        ngx_memcpy(&word, p + i, sizeof(word));

        /* 10xxxxxx, a bit for each, which the product adds up */

        word = (word >> 7) & ~(word >> 6) & NGX_PULSE_RELAY_ONES;
        n -= (word * NGX_PULSE_RELAY_ONES) >> 56;
    }

    for ( /* void */ ; i < len; i++) {
        n -= ((p[i] & 0xc0) == 0x80);
    }

    return n;
}


void
ngx_pulse_lost(const ngx_pulse_conversation_t *cv, const char *name)
{
    ngx_str_t  s;

    s.data = (u_char *) name;
    s.len = strlen(name);

    ngx_pulse_lost_name(cv, &s);
}


/* a name may be the provider's, and ends with its event */

void
ngx_pulse_lost_name(const ngx_pulse_conversation_t *cv, const ngx_str_t *name)
{
    ngx_str_t            copy;
    ngx_uint_t           n;
    ngx_pulse_dropped_t  *lost;

    lost = cv->lost;

    if (lost == NULL || name->len == 0) {
        return;
    }

    n = lost->n;
    ngx_pulse_dropped_name(lost, name);

    if (lost->n == n) {
        return;
    }

    ngx_str_null(&copy);

    if (ngx_pulse_relay_copy(cv->pool, &copy, name) == NGX_OK) {
        lost->names[n] = copy;

    } else {
        lost->n = n;
    }
}
