
#include "ngx_pulse_gemini.h"


#define NGX_PULSE_GEMINI_LOGPROBS_POOL  4096


static void ngx_pulse_gemini_probable(const ngx_pulse_json_value_t *v,
    const char *name, const char *key, ngx_pulse_buf_t *b);


/*
 * Google tells the tokens that were chosen and, in a list of the same order,
 * those that came near; elsewhere each token has its own.
 */

void
ngx_pulse_gemini_read_logprobs(const ngx_pulse_json_value_t *result,
    ngx_pulse_buf_t *b)
{
    const ngx_pulse_json_value_t  *chosen, *top, *v;

    chosen = ngx_pulse_member(result, "chosenCandidates");
    top = ngx_pulse_member(result, "topCandidates");

    chosen = (chosen && chosen->type == NGX_PULSE_JSON_ARRAY)
             ? chosen->children : NULL;
    top = (top && top->type == NGX_PULSE_JSON_ARRAY) ? top->children : NULL;

    for ( /* void */ ; chosen; chosen = chosen->next) {

        ngx_pulse_json_comma(b);
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_gemini_probable(chosen, "logProbability", "logprob", b);
        ngx_pulse_json_key(b, "bytes");
        ngx_pulse_buf_literal(b, "null");
        ngx_pulse_json_key(b, "top_logprobs");
        ngx_pulse_buf_char(b, '[');

        v = ngx_pulse_member(top, "candidates");
        v = (v && v->type == NGX_PULSE_JSON_ARRAY) ? v->children : NULL;

        for ( /* void */ ; v; v = v->next) {
            ngx_pulse_json_comma(b);
            ngx_pulse_buf_char(b, '{');
            ngx_pulse_gemini_probable(v, "logProbability", "logprob", b);
            ngx_pulse_json_key(b, "bytes");
            ngx_pulse_buf_literal(b, "null}");
        }

        ngx_pulse_buf_literal(b, "]}");

        top = top ? top->next : NULL;
    }
}


static void
ngx_pulse_gemini_probable(const ngx_pulse_json_value_t *v, const char *name,
    const char *key, ngx_pulse_buf_t *b)
{
    ngx_str_t                token;
    ngx_pulse_json_value_t  *number;

    token = ngx_pulse_gemini_string(v, "token");
    number = ngx_pulse_member(v, name);

    ngx_pulse_json_string(b, "token", &token);

    if (number && number->type == NGX_PULSE_JSON_NUMBER) {
        ngx_pulse_json_raw(b, key, &number->string);
    }
}


void
ngx_pulse_gemini_put_logprobs(const ngx_str_t *logprobs, ngx_log_t *log,
    ngx_pulse_buf_t *b)
{
    ngx_pool_t                    *pool;
    ngx_pulse_buf_t                text, top;
    ngx_pulse_json_error_t         err;
    ngx_pulse_json_limits_t        limits;
    const ngx_pulse_json_value_t  *root, *v, *near;

    if (logprobs->len == 0) {
        return;
    }

    ngx_pulse_buf_init(&text, 0);
    ngx_pulse_buf_init(&top, 0);

    ngx_pulse_buf_char(&text, '[');
    ngx_pulse_buf_str(&text, logprobs);
    ngx_pulse_buf_char(&text, ']');

    limits.size = text.len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = text.len;
    limits.keys = 4096;

    pool = ngx_create_pool(NGX_PULSE_GEMINI_LOGPROBS_POOL, log);

    root = (pool && !text.failed) ? ngx_pulse_json_tree(pool, text.data,
                                                        text.len, &limits,
                                                        &err)
                                  : NULL;
    if (root == NULL) {
        b->failed = 1;
        goto done;
    }

    ngx_pulse_json_key(b, "logprobsResult");
    ngx_pulse_buf_literal(b, "{\"chosenCandidates\":[");

    for (v = root->children; v; v = v->next) {

        ngx_pulse_json_comma(b);
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_gemini_probable(v, "logprob", "logProbability", b);
        ngx_pulse_buf_char(b, '}');

        ngx_pulse_json_comma(&top);
        ngx_pulse_buf_literal(&top, "{\"candidates\":[");

        near = ngx_pulse_member(v, "top_logprobs");
        near = (near && near->type == NGX_PULSE_JSON_ARRAY) ? near->children
                                                            : NULL;

        for ( /* void */ ; near; near = near->next) {
            ngx_pulse_json_comma(&top);
            ngx_pulse_buf_char(&top, '{');
            ngx_pulse_gemini_probable(near, "logprob", "logProbability",
                                      &top);
            ngx_pulse_buf_char(&top, '}');
        }

        ngx_pulse_buf_literal(&top, "]}");
    }

    ngx_pulse_buf_literal(b, "],\"topCandidates\":[");
    ngx_pulse_buf_append(b, top.data, top.len);
    ngx_pulse_buf_literal(b, "]}");

    if (top.failed) {
        b->failed = 1;
    }

done:

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_pulse_buf_free(&top);
    ngx_pulse_buf_free(&text);
}
