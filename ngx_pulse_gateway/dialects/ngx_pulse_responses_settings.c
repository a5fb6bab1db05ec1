
#include "ngx_pulse_responses.h"

#include <string.h>


static void ngx_pulse_responses_write_tool(const ngx_pulse_tool_t *tool,
    ngx_pool_t *pool, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_write_grammar(const ngx_pulse_tool_t *tool,
    ngx_pool_t *pool, ngx_pulse_buf_t *b);


static const char  *ngx_pulse_responses_efforts[] = {
    NULL, "none", "minimal", "low", "medium", "high", "xhigh", "max"
};


ngx_uint_t
ngx_pulse_responses_tools(const ngx_pulse_conversation_t *cv,
    ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b)
{
    size_t                   start;
    ngx_uint_t               n;
    const ngx_pulse_tool_t  *tool;

    n = 0;
    start = b->len;

    ngx_pulse_json_key(b, "tools");
    ngx_pulse_buf_char(b, '[');

    for (tool = cv->tools; tool; tool = tool->next) {

        if (tool->raw.len && tool->dialect != NGX_PULSE_DIALECT_RESPONSES) {
            continue;
        }

        ngx_pulse_json_comma(b);
        ngx_pulse_responses_write_tool(tool, cv->pool, b);
        n++;
    }

    ngx_pulse_buf_char(b, ']');

    if (n == 0) {
        b->len = start;
    }

    return n;
}


static void
ngx_pulse_responses_write_tool(const ngx_pulse_tool_t *tool, ngx_pool_t *pool,
    ngx_pulse_buf_t *b)
{
    if (tool->raw.len) {
        ngx_pulse_buf_str(b, &tool->raw);
        return;
    }

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", tool->custom ? "custom" : "function");
    ngx_pulse_json_string(b, "name", &tool->name);

    if (tool->description.len) {
        ngx_pulse_json_string(b, "description", &tool->description);
    }

    if (tool->custom) {

        if (tool->parameters.len) {
            ngx_pulse_responses_write_grammar(tool, pool, b);
        }

    } else {

        ngx_pulse_json_key(b, "parameters");

        if (tool->parameters.len) {
            ngx_pulse_buf_str(b, &tool->parameters);

        } else {
            ngx_pulse_buf_literal(b, "{\"type\":\"object\","
                                     "\"properties\":{}}");
        }

        /* without it a schema would have to be strict */

        ngx_pulse_json_key(b, "strict");

        if (tool->strict) {
            ngx_pulse_buf_literal(b, "true");

        } else {
            ngx_pulse_buf_literal(b, "false");
        }
    }

    ngx_pulse_buf_char(b, '}');
}


/* chat completions have the grammar in an object of its own */

static void
ngx_pulse_responses_write_grammar(const ngx_pulse_tool_t *tool,
    ngx_pool_t *pool, ngx_pulse_buf_t *b)
{
    ngx_str_t                raw;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *grammar, *v;

    grammar = ngx_pulse_json_tree(pool, tool->parameters.data,
                                  tool->parameters.len, NULL, &err);
    grammar = ngx_pulse_member(grammar, "grammar");

    if (grammar == NULL) {
        ngx_pulse_json_raw(b, "format", &tool->parameters);
        return;
    }

    ngx_pulse_json_key(b, "format");
    ngx_pulse_buf_literal(b, "{\"type\":\"grammar\"");

    v = ngx_pulse_member(grammar, "syntax");

    if (v) {
        raw = ngx_pulse_raw(&tool->parameters, v);
        ngx_pulse_json_raw(b, "syntax", &raw);
    }

    v = ngx_pulse_member(grammar, "definition");

    if (v) {
        raw = ngx_pulse_raw(&tool->parameters, v);
        ngx_pulse_json_raw(b, "definition", &raw);
    }

    ngx_pulse_buf_char(b, '}');
}


void
ngx_pulse_responses_choice(const ngx_pulse_conversation_t *cv,
    ngx_pulse_buf_t *b)
{
    const ngx_str_t         *name;
    const ngx_pulse_tool_t  *tool;

    switch (cv->choice) {

    case NGX_PULSE_CHOICE_NONE:
        ngx_pulse_json_literal(b, "tool_choice", "none");
        return;

    case NGX_PULSE_CHOICE_ANY:
        ngx_pulse_json_literal(b, "tool_choice", "required");
        return;

    case NGX_PULSE_CHOICE_NAMED:
        break;

    default:
        ngx_pulse_json_literal(b, "tool_choice", "auto");
        return;
    }

    name = &cv->choice_name;

    ngx_pulse_json_key(b, "tool_choice");
    ngx_pulse_buf_char(b, '{');

    for (tool = cv->tools; tool; tool = tool->next) {

        if (tool->raw.len && tool->name.len == name->len
            && ngx_memcmp(tool->name.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    if (tool) {
        ngx_pulse_json_string(b, "type", name);

    } else {
        ngx_pulse_json_literal(b, "type",
                               ngx_pulse_responses_custom(cv, name)
                               ? "custom" : "function");
        ngx_pulse_json_string(b, "name", name);
    }

    ngx_pulse_buf_char(b, '}');
}


void
ngx_pulse_responses_text(const ngx_pulse_conversation_t *cv,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_key(b, "text");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_key(b, "format");
    ngx_pulse_buf_char(b, '{');

    switch (cv->format) {

    case NGX_PULSE_FORMAT_JSON:
        ngx_pulse_json_literal(b, "type", "json_object");
        break;

    case NGX_PULSE_FORMAT_SCHEMA:
        ngx_pulse_json_literal(b, "type", "json_schema");

        if (cv->format_name.len) {
            ngx_pulse_json_string(b, "name", &cv->format_name);

        } else {
            ngx_pulse_json_literal(b, "name", "response");
        }

        if (cv->format_description.len) {
            ngx_pulse_json_string(b, "description", &cv->format_description);
        }

        ngx_pulse_json_raw(b, "schema", &cv->format_schema);
        ngx_pulse_json_key(b, "strict");

        if (cv->format_strict) {
            ngx_pulse_buf_literal(b, "true");

        } else {
            ngx_pulse_buf_literal(b, "false");
        }

        break;

    default:
        ngx_pulse_json_literal(b, "type", "text");
    }

    ngx_pulse_buf_char(b, '}');

    if (cv->verbosity.len) {
        ngx_pulse_json_string(b, "verbosity", &cv->verbosity);
    }

    ngx_pulse_buf_char(b, '}');
}


const char *
ngx_pulse_responses_effort(ngx_uint_t effort)
{
    return ngx_pulse_responses_efforts[effort];
}


ngx_uint_t
ngx_pulse_responses_effort_of(const ngx_str_t *word)
{
    ngx_uint_t  effort;

    for (effort = NGX_PULSE_EFFORT_MAX; effort; effort--) {
        if (ngx_pulse_is(word, ngx_pulse_responses_efforts[effort])) {
            break;
        }
    }

    return effort;
}


ngx_uint_t
ngx_pulse_responses_custom(const ngx_pulse_conversation_t *cv,
    const ngx_str_t *name)
{
    const ngx_pulse_tool_t  *tool;

    for (tool = cv->tools; tool; tool = tool->next) {

        if (tool->custom && tool->name.len == name->len
            && ngx_memcmp(tool->name.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_pulse_responses_more(ngx_pulse_buf_t *b, const u_char *p, size_t len)
{
    u_char  last;
    size_t  mark;

    if (b->failed || len == 0) {
        return;
    }

    /* the quote that opens the piece takes the place of the last byte,
     * which is then put back: megabytes are not moved */

    mark = b->len - 2;
    last = b->data[mark];

    b->len = mark;
    ngx_pulse_buf_json(b, p, len);
    b->data[mark] = last;
}
