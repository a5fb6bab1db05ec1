
#include "ngx_pulse_openai.h"


#define NGX_PULSE_OPENAI_STOPS      4

/* budgets of thinking tokens, up to which an effort is the nearest */

#define NGX_PULSE_OPENAI_LOW        2048
#define NGX_PULSE_OPENAI_MEDIUM     8192


static ngx_int_t ngx_pulse_openai_put_tools(ngx_pulse_openai_provider_t *pr);
static ngx_int_t ngx_pulse_openai_put_tool(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_tool_t *tool);
static ngx_int_t ngx_pulse_openai_put_custom(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_tool_t *tool);
static void ngx_pulse_openai_put_choice(ngx_pulse_openai_provider_t *pr);
static void ngx_pulse_openai_put_named(ngx_pulse_openai_provider_t *pr);
static void ngx_pulse_openai_put_format(ngx_pulse_openai_provider_t *pr);
static ngx_int_t ngx_pulse_openai_put_sampling(
    ngx_pulse_openai_provider_t *pr);
static ngx_int_t ngx_pulse_openai_put_stops(ngx_pulse_openai_provider_t *pr);
static void ngx_pulse_openai_put_effort(ngx_pulse_openai_provider_t *pr);
static void ngx_pulse_openai_put_limits(ngx_pulse_openai_provider_t *pr);


/* in the order of NGX_PULSE_EFFORT_* */

static const char  *ngx_pulse_openai_effort_names[] = {
    NULL, "none", "minimal", "low", "medium", "high", "xhigh", "max"
};


ngx_int_t
ngx_pulse_openai_provide(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b)
{
    ngx_int_t                     rc;
    const ngx_pulse_turn_t       *turn;
    ngx_pulse_openai_provider_t   pr;

    pr.cv = cv;
    pr.target = target;
    pr.pool = pool;
    pr.dropped = dropped;
    pr.refusal = refusal;
    pr.b = b;

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "model", &target->model);

    ngx_pulse_json_key(b, "messages");
    ngx_pulse_buf_char(b, '[');

    for (turn = cv->turns; turn; turn = turn->next) {
        rc = ngx_pulse_openai_put_turn(&pr, turn);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_pulse_buf_char(b, ']');

    /* elsewhere a last turn of the model's is the start of its answer */

    if (cv->last && cv->last->role == NGX_PULSE_ROLE_ASSISTANT
        && cv->dialect != NGX_PULSE_DIALECT_OPENAI && !target->prefill)
    {
        ngx_pulse_dropped_add(dropped, "prefill");
    }

    if (cv->cache.len) {
        ngx_pulse_dropped_add(dropped, "cache_control");
    }

    rc = ngx_pulse_openai_put_tools(&pr);

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_put_sampling(&pr);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_put_stops(&pr);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_pulse_openai_put_format(&pr);
    ngx_pulse_openai_put_effort(&pr);
    ngx_pulse_openai_put_limits(&pr);

    ngx_pulse_buf_char(b, '}');

    return b->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_tools(ngx_pulse_openai_provider_t *pr)
{
    size_t                           start, empty;
    ngx_int_t                        rc;
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_tool_t          *tool;
    const ngx_pulse_conversation_t  *cv;

    b = pr->b;
    cv = pr->cv;
    start = b->len;

    ngx_pulse_json_key(b, "tools");
    ngx_pulse_buf_char(b, '[');

    empty = b->len;

    for (tool = cv->tools; tool; tool = tool->next) {
        rc = ngx_pulse_openai_put_tool(pr, tool);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (b->len == empty) {
        b->len = start;

        if (cv->choice == NGX_PULSE_CHOICE_ANY
            || cv->choice == NGX_PULSE_CHOICE_NAMED)
        {
            return ngx_pulse_openai_put_refuse(pr, cv->choice_at,
                          "forces a call, but this model has none of the "
                          "tools");
        }

        return NGX_OK;
    }

    ngx_pulse_buf_char(b, ']');

    ngx_pulse_openai_put_choice(pr);

    if (cv->no_parallel) {
        ngx_pulse_json_key(b, "parallel_tool_calls");
        ngx_pulse_buf_literal(b, "false");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_tool(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_tool_t *tool)
{
    ngx_pulse_buf_t  *b;

    b = pr->b;

    if (tool->cache.len) {
        ngx_pulse_dropped_add(pr->dropped, "cache_control");
    }

    if (tool->raw.len) {

        if (tool->dialect != NGX_PULSE_DIALECT_OPENAI) {
            return ngx_pulse_openai_put_refuse(pr, tool->at,
                          "a tool is of another provider than the model");
        }

        ngx_pulse_json_comma(b);
        ngx_pulse_buf_str(b, &tool->raw);

        return NGX_OK;
    }

    if (tool->custom) {
        return ngx_pulse_openai_put_custom(pr, tool);
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"function\",\"function\":{");
    ngx_pulse_json_string(b, "name", &tool->name);

    if (tool->description.len) {
        ngx_pulse_json_string(b, "description", &tool->description);
    }

    if (tool->parameters.len) {
        ngx_pulse_json_raw(b, "parameters", &tool->parameters);
    }

    if (tool->strict) {
        ngx_pulse_json_key(b, "strict");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_buf_literal(b, "}}");

    return NGX_OK;
}


/* a grammar is kept flat, as Responses has it: here it is wrapped */

static ngx_int_t
ngx_pulse_openai_put_custom(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_tool_t *tool)
{
    ngx_str_t                raw;
    ngx_pulse_buf_t         *b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *format, *syntax, *definition;

    b = pr->b;
    format = NULL;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"custom\",\"custom\":{");
    ngx_pulse_json_string(b, "name", &tool->name);

    if (tool->description.len) {
        ngx_pulse_json_string(b, "description", &tool->description);
    }

    if (tool->parameters.len) {
        format = ngx_pulse_json_tree(pr->pool, tool->parameters.data,
                                     tool->parameters.len, NULL, &err);
        if (format == NULL) {
            return NGX_ERROR;
        }
    }

    syntax = ngx_pulse_member(format, "syntax");
    definition = ngx_pulse_member(format, "definition");

    if (syntax && definition) {
        ngx_pulse_json_key(b, "format");
        ngx_pulse_buf_literal(b, "{\"type\":\"grammar\",\"grammar\":{");

        raw = ngx_pulse_raw(&tool->parameters, definition);
        ngx_pulse_json_raw(b, "definition", &raw);

        raw = ngx_pulse_raw(&tool->parameters, syntax);
        ngx_pulse_json_raw(b, "syntax", &raw);

        ngx_pulse_buf_literal(b, "}}");
    }

    ngx_pulse_buf_literal(b, "}}");

    return NGX_OK;
}


static void
ngx_pulse_openai_put_choice(ngx_pulse_openai_provider_t *pr)
{
    ngx_uint_t        choice;
    ngx_pulse_buf_t  *b;

    b = pr->b;
    choice = pr->cv->choice;

    if (!pr->target->forced_choice
        && (choice == NGX_PULSE_CHOICE_ANY
            || choice == NGX_PULSE_CHOICE_NAMED))
    {
        ngx_pulse_dropped_add(pr->dropped, "tool_choice");
        choice = NGX_PULSE_CHOICE_AUTO;
    }

    switch (choice) {

    case NGX_PULSE_CHOICE_AUTO:
        ngx_pulse_json_literal(b, "tool_choice", "auto");
        break;

    case NGX_PULSE_CHOICE_NONE:
        ngx_pulse_json_literal(b, "tool_choice", "none");
        break;

    case NGX_PULSE_CHOICE_ANY:
        ngx_pulse_json_literal(b, "tool_choice", "required");
        break;

    case NGX_PULSE_CHOICE_NAMED:
        ngx_pulse_openai_put_named(pr);
        break;
    }
}


static void
ngx_pulse_openai_put_named(ngx_pulse_openai_provider_t *pr)
{
    const char              *type;
    const ngx_str_t         *name;
    ngx_pulse_buf_t         *b;
    const ngx_pulse_tool_t  *tool;

    b = pr->b;
    name = &pr->cv->choice_name;
    type = "function";

    for (tool = pr->cv->tools; tool; tool = tool->next) {

        if (tool->custom && tool->name.len == name->len
            && ngx_memcmp(tool->name.data, name->data, name->len) == 0)
        {
            type = "custom";
        }
    }

    ngx_pulse_json_key(b, "tool_choice");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", type);
    ngx_pulse_json_key(b, type);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "name", name);
    ngx_pulse_buf_literal(b, "}}");
}


static ngx_int_t
ngx_pulse_openai_put_sampling(ngx_pulse_openai_provider_t *pr)
{
    ngx_uint_t                       i;
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    b = pr->b;
    cv = pr->cv;

    struct {
        const char       *name;
        const ngx_str_t  *number;
    } members[] = {
        { "temperature", &cv->temperature },
        { "top_p", &cv->top_p },
        { "presence_penalty", &cv->presence_penalty },
        { "frequency_penalty", &cv->frequency_penalty },
        { NULL, NULL }
    };

    for (i = 0; members[i].name; i++) {

        if (members[i].number->len == 0) {
            continue;
        }

        if (pr->target->sampling) {
            ngx_pulse_json_raw(b, members[i].name, members[i].number);

        } else {
            ngx_pulse_dropped_add(pr->dropped, members[i].name);
        }
    }

    if (cv->top_k.len) {
        ngx_pulse_dropped_add(pr->dropped, "top_k");
    }

    if (cv->seed.len) {
        ngx_pulse_json_raw(b, "seed", &cv->seed);
    }

    if (cv->logprobs && pr->target->sampling) {
        ngx_pulse_json_key(b, "logprobs");
        ngx_pulse_buf_literal(b, "true");

        if (cv->top_logprobs) {
            ngx_pulse_json_number(b, "top_logprobs", cv->top_logprobs);
        }

    } else if (cv->logprobs) {
        ngx_pulse_dropped_add(pr->dropped, "logprobs");
    }

    if (cv->n > 1) {
        ngx_pulse_json_number(b, "n", cv->n);
    }

    if (cv->old_user.len) {
        ngx_pulse_json_string(b, "user", &cv->old_user);
        ngx_pulse_json_string(b, "safety_identifier", &cv->user);

    } else if (cv->user.len) {
        ngx_pulse_json_string(b, "user", &cv->user);
    }

    ngx_pulse_shared_write(cv, b);

    if (cv->verbosity.len) {
        ngx_pulse_json_string(b, "verbosity", &cv->verbosity);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_stops(ngx_pulse_openai_provider_t *pr)
{
    ngx_uint_t                       i;
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    b = pr->b;
    cv = pr->cv;

    if (cv->nstops == 0) {
        return NGX_OK;
    }

    if (cv->nstops > NGX_PULSE_OPENAI_STOPS) {
        return ngx_pulse_openai_put_refuse(pr, cv->stops_at,
                    "has more than the 4 stop sequences that this model takes");
    }

    ngx_pulse_json_key(b, "stop");
    ngx_pulse_buf_char(b, '[');

    for (i = 0; i < cv->nstops; i++) {
        ngx_pulse_json_comma(b);
        ngx_pulse_buf_json(b, cv->stops[i].data, cv->stops[i].len);
    }

    ngx_pulse_buf_char(b, ']');

    return NGX_OK;
}


static void
ngx_pulse_openai_put_format(ngx_pulse_openai_provider_t *pr)
{
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    static const ngx_str_t  unnamed = ngx_string("answer");

    b = pr->b;
    cv = pr->cv;

    if (cv->format == NGX_PULSE_FORMAT_TEXT) {
        return;
    }

    ngx_pulse_json_key(b, "response_format");

    if (cv->format == NGX_PULSE_FORMAT_JSON) {
        ngx_pulse_buf_literal(b, "{\"type\":\"json_object\"}");
        return;
    }

    ngx_pulse_buf_literal(b, "{\"type\":\"json_schema\",\"json_schema\":{");
    ngx_pulse_json_string(b, "name", cv->format_name.len ? &cv->format_name
                                                         : &unnamed);

    if (cv->format_description.len) {
        ngx_pulse_json_string(b, "description", &cv->format_description);
    }

    ngx_pulse_json_raw(b, "schema", &cv->format_schema);

    if (cv->format_strict) {
        ngx_pulse_json_key(b, "strict");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_buf_literal(b, "}}");
}


static void
ngx_pulse_openai_put_effort(ngx_pulse_openai_provider_t *pr)
{
    ngx_uint_t                       effort, nearest;
    const ngx_pulse_conversation_t  *cv;

    cv = pr->cv;
    effort = cv->effort;

    if (cv->budget && effort == NGX_PULSE_EFFORT_UNSET) {
        ngx_pulse_dropped_add(pr->dropped, "budget_tokens");

        if (!pr->target->effort) {
            return;
        }

        effort = (cv->budget <= NGX_PULSE_OPENAI_LOW)
                 ? NGX_PULSE_EFFORT_LOW
                 : (cv->budget <= NGX_PULSE_OPENAI_MEDIUM)
                 ? NGX_PULSE_EFFORT_MEDIUM : NGX_PULSE_EFFORT_HIGH;
    }

    if (effort == NGX_PULSE_EFFORT_UNSET) {
        return;
    }

    if (!pr->target->effort) {

        /* a model that does not think has what "none" asks for */

        if (effort != NGX_PULSE_EFFORT_NONE) {
            ngx_pulse_dropped_add(pr->dropped, "reasoning_effort");
        }

        return;
    }

    if (effort == NGX_PULSE_EFFORT_NONE && !pr->target->effort_none) {
        ngx_pulse_dropped_add(pr->dropped, "reasoning_effort");
        effort = NGX_PULSE_EFFORT_LOW;
    }

    nearest = ngx_pulse_effort(pr->target, effort);

    if (nearest != effort) {
        ngx_pulse_dropped_add(pr->dropped, "reasoning_effort");
    }

    ngx_pulse_json_literal(pr->b, "reasoning_effort",
                           ngx_pulse_openai_effort_names[nearest]);
}


static void
ngx_pulse_openai_put_limits(ngx_pulse_openai_provider_t *pr)
{
    ngx_pulse_buf_t  *b;

    b = pr->b;

    ngx_pulse_json_number(b,
                  ngx_pulse_is(&pr->target->max_tokens_name, "max_tokens")
                  ? "max_tokens" : "max_completion_tokens",
                  pr->target->max_tokens);

    if (pr->cv->stream) {
        ngx_pulse_json_key(b, "stream");
        ngx_pulse_buf_literal(b, "true");
        ngx_pulse_json_key(b, "stream_options");
        ngx_pulse_buf_literal(b, "{\"include_usage\":true}");
    }
}


ngx_int_t
ngx_pulse_openai_put_refuse(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_json_value_t *at, const char *reason)
{
    return ngx_pulse_refuse(pr->refusal, at, NULL, reason);
}
