
#include "ngx_pulse_conversation.h"


static int64_t ngx_pulse_citation_index(const ngx_pulse_json_value_t *v,
    const char *key);


/* what is told of a source has the same names at nearly all vendors */

ngx_int_t
ngx_pulse_cite(ngx_pulse_answer_pt handler, void *ctx, ngx_uint_t choice,
    const ngx_pulse_json_value_t *v)
{
    ngx_uint_t                 i;
    ngx_pulse_citation_t       citation;
    ngx_pulse_json_value_t    *member;
    ngx_pulse_answer_event_t   ev;

    struct {
        const char            *key;
        ngx_str_t             *value;
    } members[] = {
        { "uri", &citation.url },
        { "url", &citation.url },
        { "title", &citation.title },
        { "cited_text", &citation.text },
        { "content", &citation.text },
        { NULL, NULL }
    };

    ngx_memzero(&citation, sizeof(ngx_pulse_citation_t));
    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    for (i = 0; members[i].key; i++) {
        member = ngx_pulse_json_get(v, members[i].key);

        if (member && member->type == NGX_PULSE_JSON_STRING) {
            *members[i].value = member->string;
        }
    }

    if (citation.url.len == 0) {
        return NGX_OK;
    }

    citation.start = ngx_pulse_citation_index(v, "start_index");
    citation.end = ngx_pulse_citation_index(v, "end_index");

    ev.type = NGX_PULSE_ANSWER_CITATION;
    ev.choice = choice;
    ev.citation = &citation;

    return handler(ctx, &ev);
}


ngx_int_t
ngx_pulse_cite_all(ngx_pulse_answer_pt handler, void *ctx, ngx_uint_t choice,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *list, *inner;

    rc = NGX_OK;
    list = ngx_pulse_json_get(v, "annotations");

    if (list == NULL || list->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_OK;
    }

    for (list = list->children; list && rc == NGX_OK; list = list->next) {

        /* chat has it in an object of its own, Responses has not */

        inner = ngx_pulse_json_get(list, "url_citation");
        rc = ngx_pulse_cite(handler, ctx, choice, inner ? inner : list);
    }

    return rc;
}


static int64_t
ngx_pulse_citation_index(const ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, key);

    if (member == NULL || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &n) != NGX_OK || n < 0)
    {
        return 0;
    }

    return n;
}


void
ngx_pulse_cited(const ngx_pulse_citation_t *citation, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_string(b, "url", &citation->url);
    ngx_pulse_json_string(b, "title", &citation->title);
    ngx_pulse_json_number(b, "start_index", citation->start);
    ngx_pulse_json_number(b, "end_index", citation->end);

    if (citation->text.len) {
        ngx_pulse_json_string(b, "content", &citation->text);
    }
}
