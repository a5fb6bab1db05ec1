
#include "ngx_pulse_anthropic.h"

#include <stdlib.h>


#define NGX_PULSE_ANTHROPIC_BUDGET   1024       /* the least of thinking */
#define NGX_PULSE_ANTHROPIC_MARKERS  4          /* of the cache, at most */

#define NGX_PULSE_ANTHROPIC_THINKING_UNSET     0
#define NGX_PULSE_ANTHROPIC_THINKING_OFF       1
#define NGX_PULSE_ANTHROPIC_THINKING_BETWEEN   2
#define NGX_PULSE_ANTHROPIC_THINKING_ADAPTIVE  3
#define NGX_PULSE_ANTHROPIC_THINKING_BUDGET    4


static ngx_int_t ngx_pulse_anthropic_verify(ngx_pulse_anthropic_out_t *out);
static ngx_int_t ngx_pulse_anthropic_verify_tools(
    ngx_pulse_anthropic_out_t *out);
static ngx_int_t ngx_pulse_anthropic_verify_last(
    ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_count_markers(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_plan(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_plan_off(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_plan_budget(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_plan_levels(ngx_pulse_anthropic_out_t *out);
static int64_t ngx_pulse_anthropic_share(ngx_uint_t effort, int64_t max);
static void ngx_pulse_anthropic_write_tools(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_write_tool(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_tool_t *tool);
static void ngx_pulse_anthropic_write_choice(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_write_stops(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_write_sampling(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_write_reasoning(
    ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_write_output(ngx_pulse_anthropic_out_t *out);
static void ngx_pulse_anthropic_drop_rest(ngx_pulse_anthropic_out_t *out);


static const char  *ngx_pulse_anthropic_levels[] = {
    NULL, NULL, "low", "low", "medium", "high", "xhigh", "max"
};


ngx_int_t
ngx_pulse_anthropic_write(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_anthropic_out_t  out;

    ngx_memzero(&out, sizeof(ngx_pulse_anthropic_out_t));
    ngx_memzero(refusal, sizeof(ngx_pulse_chat_refusal_t));

    out.cv = cv;
    out.target = target;
    out.pool = pool;
    out.dropped = dropped;
    out.refusal = refusal;
    out.b = b;

    if (ngx_pulse_anthropic_verify(&out) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_pulse_anthropic_count_markers(&out);
    ngx_pulse_anthropic_plan(&out);

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "model", &target->model);
    ngx_pulse_json_number(b, "max_tokens", target->max_tokens);

    if (cv->stream) {
        ngx_pulse_json_key(b, "stream");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_anthropic_write_tools(&out);

    if (ngx_pulse_anthropic_write_system(&out) != NGX_OK
        || ngx_pulse_anthropic_write_messages(&out) != NGX_OK)
    {
        return out.refusal->reason ? NGX_DECLINED : NGX_ERROR;
    }

    ngx_pulse_anthropic_write_choice(&out);
    ngx_pulse_anthropic_write_stops(&out);
    ngx_pulse_anthropic_write_reasoning(&out);
    ngx_pulse_anthropic_write_output(&out);
    ngx_pulse_anthropic_write_sampling(&out);
    ngx_pulse_anthropic_write_cache(&out, &cv->cache);

    if (cv->user.len) {
        ngx_pulse_json_key(b, "metadata");
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_string(b, "user_id", &cv->user);
        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_anthropic_drop_rest(&out);

    ngx_pulse_buf_char(b, '}');

    return b->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_verify(ngx_pulse_anthropic_out_t *out)
{
    const ngx_pulse_turn_t  *turn;

    if (out->cv->n > 1) {
        return ngx_pulse_anthropic_refuse(out, out->cv->n_at,
                                  "this model gives one answer at a time");
    }

    for (turn = out->cv->turns;
         turn && turn->role == NGX_PULSE_ROLE_SYSTEM;
         turn = turn->next)
    {
        /* void */
    }

    out->turns = turn;

    if (turn == NULL) {
        return ngx_pulse_anthropic_refuse(out, out->cv->at,
                      "this model needs a message that is not the system's");
    }

    if (ngx_pulse_anthropic_verify_tools(out) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_pulse_anthropic_verify_last(out);
}


static ngx_int_t
ngx_pulse_anthropic_verify_tools(ngx_pulse_anthropic_out_t *out)
{
    const ngx_pulse_tool_t  *tool;

    for (tool = out->cv->tools; tool; tool = tool->next) {

        if (tool->raw.len && tool->dialect != NGX_PULSE_DIALECT_ANTHROPIC) {
            return ngx_pulse_anthropic_refuse(out, tool->at,
                               "a tool is of another provider than the model");
        }

        if (tool->custom) {
            return ngx_pulse_anthropic_refuse(out, tool->at,
                               "this model takes no tool without a schema");
        }
    }

    return NGX_OK;
}


/* a text of the assistant's at the end is one to go on with */

static ngx_int_t
ngx_pulse_anthropic_verify_last(ngx_pulse_anthropic_out_t *out)
{
    const ngx_pulse_part_t  *part, *raw;
    const ngx_pulse_turn_t  *turn, *last;

    raw = NULL;
    last = NULL;

    for (turn = out->turns; turn; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {

            if (!ngx_pulse_anthropic_empty(out, part)) {
                last = turn;
                out->last = part;

            } else if (part->type == NGX_PULSE_PART_RAW && raw == NULL
                       && turn->role == NGX_PULSE_ROLE_USER)
            {
                raw = part;
            }
        }
    }

    if (last == NULL && raw) {
        return ngx_pulse_anthropic_refuse(out, raw->at,
                       "a part of a message is of another provider only");
    }

    if (last == NULL) {
        return ngx_pulse_anthropic_refuse(out, out->cv->at,
                                          "all messages are without content");
    }

    if (last->role == NGX_PULSE_ROLE_ASSISTANT && !out->target->prefill) {
        return ngx_pulse_anthropic_refuse(out, out->cv->at,
             "this model cannot continue a last message of the assistant's");
    }

    if (last->role != NGX_PULSE_ROLE_ASSISTANT) {
        out->last = NULL;
    }

    return NGX_OK;
}


static void
ngx_pulse_anthropic_count_markers(ngx_pulse_anthropic_out_t *out)
{
    ngx_uint_t               n;
    const ngx_pulse_part_t  *part, *inner;
    const ngx_pulse_tool_t  *tool;
    const ngx_pulse_turn_t  *turn;

    n = (out->cv->cache.len != 0);

    for (tool = out->cv->tools; tool; tool = tool->next) {
        n += (tool->cache.len != 0);
    }

    for (turn = out->cv->turns; turn; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {
            n += (part->cache.len != 0);

            for (inner = part->content; inner; inner = inner->next) {
                n += (inner->cache.len != 0);
            }
        }
    }

    if (n > NGX_PULSE_ANTHROPIC_MARKERS) {
        out->markers = n - NGX_PULSE_ANTHROPIC_MARKERS;
    }
}


/* how hard to think, and which choice of tools goes with it */

static void
ngx_pulse_anthropic_plan(ngx_pulse_anthropic_out_t *out)
{
    ngx_uint_t                       nearest;
    const ngx_pulse_target_t        *target;
    const ngx_pulse_conversation_t  *cv;

    cv = out->cv;
    target = out->target;

    out->choice = cv->choice;
    out->effort = cv->effort;

    if ((cv->choice == NGX_PULSE_CHOICE_ANY
         || cv->choice == NGX_PULSE_CHOICE_NAMED)
        && !target->forced_choice)
    {
        out->choice = NGX_PULSE_CHOICE_AUTO;
        ngx_pulse_dropped_add(out->dropped, "tool_choice");
    }

    if (cv->effort == NGX_PULSE_EFFORT_NONE) {
        ngx_pulse_anthropic_plan_off(out);

    } else if (target->thinking_budget) {
        ngx_pulse_anthropic_plan_budget(out);

    } else {
        ngx_pulse_anthropic_plan_levels(out);
    }

    if (out->effort && !target->effort) {

        if (out->thinking == NGX_PULSE_ANTHROPIC_THINKING_UNSET
            || cv->dialect == NGX_PULSE_DIALECT_ANTHROPIC)
        {
            ngx_pulse_dropped_add(out->dropped, "effort");
        }

        out->effort = NGX_PULSE_EFFORT_UNSET;
    }

    nearest = ngx_pulse_effort(target, ngx_max(out->effort,
                                               NGX_PULSE_EFFORT_LOW));

    if (out->effort > NGX_PULSE_EFFORT_NONE && nearest != out->effort) {

        /* there is no "minimal" for anybody */

        if (out->effort != NGX_PULSE_EFFORT_MINIMAL) {
            ngx_pulse_dropped_add(out->dropped, "effort");
        }

        out->effort = nearest;
    }
}


static void
ngx_pulse_anthropic_plan_off(ngx_pulse_anthropic_out_t *out)
{
    out->effort = out->cv->answer_effort;

    if (out->target->between_tools) {
        out->thinking = NGX_PULSE_ANTHROPIC_THINKING_BETWEEN;

    } else if (out->target->thinking_off) {
        out->thinking = NGX_PULSE_ANTHROPIC_THINKING_OFF;

    } else {
        ngx_pulse_dropped_add(out->dropped, "thinking");

        if (out->effort == NGX_PULSE_EFFORT_UNSET && out->target->effort) {
            out->effort = NGX_PULSE_EFFORT_LOW;
        }
    }
}


static void
ngx_pulse_anthropic_plan_budget(ngx_pulse_anthropic_out_t *out)
{
    int64_t                          budget, max;
    const ngx_pulse_conversation_t  *cv;

    cv = out->cv;
    max = out->target->max_tokens;
    budget = cv->budget;

    if (budget == 0) {

        /* an effort of this dialect alone asks for no thinking */

        if (!cv->adaptive
            && (cv->effort == NGX_PULSE_EFFORT_UNSET
                || cv->dialect == NGX_PULSE_DIALECT_ANTHROPIC))
        {
            return;
        }

        budget = ngx_pulse_anthropic_share(cv->effort, max);
    }

    if (budget >= max) {
        budget = max - 1;
    }

    /* refused: less than the least, a forced call, a turn that goes on after
     * calls without the thinking that led to them */

    if (budget < NGX_PULSE_ANTHROPIC_BUDGET
        || out->choice == NGX_PULSE_CHOICE_ANY
        || out->choice == NGX_PULSE_CHOICE_NAMED
        || ngx_pulse_anthropic_resumes(cv))
    {
        ngx_pulse_dropped_add(out->dropped, "thinking");
        return;
    }

    out->thinking = NGX_PULSE_ANTHROPIC_THINKING_BUDGET;
    out->budget = budget;
}


static void
ngx_pulse_anthropic_plan_levels(ngx_pulse_anthropic_out_t *out)
{
    const ngx_pulse_conversation_t  *cv;

    cv = out->cv;

    if (cv->budget) {
        out->thinking = NGX_PULSE_ANTHROPIC_THINKING_ADAPTIVE;

        ngx_pulse_dropped_add(out->dropped, "budget_tokens");

        if (out->effort == NGX_PULSE_EFFORT_UNSET && out->target->effort) {
            out->effort = (cv->budget < 4096) ? NGX_PULSE_EFFORT_LOW
                          : (cv->budget < 16384) ? NGX_PULSE_EFFORT_MEDIUM
                          : NGX_PULSE_EFFORT_HIGH;
        }

        return;
    }

    if (cv->adaptive
        || (cv->effort != NGX_PULSE_EFFORT_UNSET
            && cv->dialect != NGX_PULSE_DIALECT_ANTHROPIC
            && out->target->effort))
    {
        out->thinking = NGX_PULSE_ANTHROPIC_THINKING_ADAPTIVE;
    }
}


static int64_t
ngx_pulse_anthropic_share(ngx_uint_t effort, int64_t max)
{
    int64_t  budget;

    switch (effort) {

    case NGX_PULSE_EFFORT_MINIMAL:
        budget = NGX_PULSE_ANTHROPIC_BUDGET;
        break;

    case NGX_PULSE_EFFORT_LOW:
        budget = max / 5;
        break;

    case NGX_PULSE_EFFORT_HIGH:
        budget = max / 5 * 4;
        break;

    case NGX_PULSE_EFFORT_XHIGH:
    case NGX_PULSE_EFFORT_MAX:
        budget = max / 10 * 9;
        break;

    default: /* NGX_PULSE_EFFORT_UNSET, NGX_PULSE_EFFORT_MEDIUM */
        budget = max / 2;
    }

    return ngx_max(budget, NGX_PULSE_ANTHROPIC_BUDGET);
}


ngx_uint_t
ngx_pulse_anthropic_resumes(const ngx_pulse_conversation_t *cv)
{
    ngx_uint_t               called, thought;
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *turn;

    called = 0;
    thought = 0;

    for (turn = cv->turns; turn; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {

            if (turn->role == NGX_PULSE_ROLE_USER
                && part->type != NGX_PULSE_PART_RESULT)
            {
                called = 0;
                thought = 0;
            }

            if (turn->role != NGX_PULSE_ROLE_ASSISTANT) {
                continue;
            }

            if (part->type == NGX_PULSE_PART_CALL) {
                called = 1;

            } else if (part->type == NGX_PULSE_PART_REDACTED
                       || (part->type == NGX_PULSE_PART_THINKING
                           && !ngx_pulse_anthropic_foreign(&part->signature)))
            {
                thought = 1;
            }
        }
    }

    return called && !thought;
}


static void
ngx_pulse_anthropic_write_tools(ngx_pulse_anthropic_out_t *out)
{
    const ngx_pulse_tool_t  *tool;

    if (out->cv->tools == NULL) {
        return;
    }

    ngx_pulse_json_key(out->b, "tools");
    ngx_pulse_buf_char(out->b, '[');

    for (tool = out->cv->tools; tool; tool = tool->next) {
        ngx_pulse_json_comma(out->b);

        if (tool->raw.len) {
            ngx_pulse_buf_str(out->b, &tool->raw);
            continue;
        }

        ngx_pulse_anthropic_write_tool(out, tool);
    }

    ngx_pulse_buf_char(out->b, ']');
}


static void
ngx_pulse_anthropic_write_tool(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_tool_t *tool)
{
    ngx_str_t                schema;
    ngx_pulse_buf_t         *b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root;
    ngx_pulse_json_limits_t  limits;

    b = out->b;
    schema = tool->parameters;

    /* it was read once already, as a part of the body */

    limits.size = schema.len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = schema.len;
    limits.keys = schema.len;

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "name", &tool->name);

    if (tool->description.len) {
        ngx_pulse_json_string(b, "description", &tool->description);
    }

    ngx_pulse_json_key(b, "input_schema");

    /* "type" is required here, elsewhere it goes without saying */

    root = schema.len ? ngx_pulse_json_tree(out->pool, schema.data, schema.len,
                                            &limits, &err)
                      : NULL;

    if (root == NULL || root->nelts == 0) {
        ngx_pulse_buf_literal(b, "{\"type\":\"object\",\"properties\":{}}");

    } else if (ngx_pulse_json_get(root, "type") == NULL) {
        ngx_pulse_buf_literal(b, "{\"type\":\"object\",");
        ngx_pulse_buf_append(b, schema.data + 1, schema.len - 1);

    } else {
        ngx_pulse_buf_str(b, &schema);
    }

    if (tool->strict) {
        ngx_pulse_json_key(b, "strict");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_anthropic_write_cache(out, &tool->cache);
    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_anthropic_write_choice(ngx_pulse_anthropic_out_t *out)
{
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    static const char  *names[] = { "auto", "auto", "none", "any", "tool" };

    b = out->b;
    cv = out->cv;

    if (cv->tools == NULL
        || (out->choice == NGX_PULSE_CHOICE_UNSET && !cv->no_parallel))
    {
        return;
    }

    ngx_pulse_json_key(b, "tool_choice");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", names[out->choice]);

    if (out->choice == NGX_PULSE_CHOICE_NAMED) {
        ngx_pulse_json_string(b, "name", &cv->choice_name);
    }

    if (cv->no_parallel && out->choice != NGX_PULSE_CHOICE_NONE) {
        ngx_pulse_json_key(b, "disable_parallel_tool_use");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_anthropic_write_stops(ngx_pulse_anthropic_out_t *out)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < out->cv->nstops; i++) {

        if (ngx_pulse_anthropic_blank(&out->cv->stops[i])) {
            ngx_pulse_dropped_add(out->dropped, "stop");
            continue;
        }

        if (n++ == 0) {
            ngx_pulse_json_key(out->b, "stop_sequences");
            ngx_pulse_buf_char(out->b, '[');
        }

        ngx_pulse_json_comma(out->b);
        ngx_pulse_buf_json(out->b, out->cv->stops[i].data,
                           out->cv->stops[i].len);
    }

    if (n) {
        ngx_pulse_buf_char(out->b, ']');
    }
}


static void
ngx_pulse_anthropic_write_reasoning(ngx_pulse_anthropic_out_t *out)
{
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    static const char  *names[] = {
        NULL, "disabled", "between_tools", "adaptive", "enabled"
    };

    b = out->b;
    cv = out->cv;

    if (out->thinking == NGX_PULSE_ANTHROPIC_THINKING_UNSET) {
        return;
    }

    ngx_pulse_json_key(b, "thinking");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", names[out->thinking]);

    if (out->thinking == NGX_PULSE_ANTHROPIC_THINKING_BUDGET) {
        ngx_pulse_json_number(b, "budget_tokens", out->budget);
    }

    if (out->thinking >= NGX_PULSE_ANTHROPIC_THINKING_ADAPTIVE
        && cv->omit_thoughts)
    {
        ngx_pulse_json_literal(b, "display", "omitted");

    } else if (out->thinking == NGX_PULSE_ANTHROPIC_THINKING_ADAPTIVE
               && cv->include_thoughts)
    {
        ngx_pulse_json_literal(b, "display", "summarized");
    }

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_anthropic_write_output(ngx_pulse_anthropic_out_t *out)
{
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    b = out->b;
    cv = out->cv;

    if (out->effort <= NGX_PULSE_EFFORT_NONE
        && cv->format != NGX_PULSE_FORMAT_SCHEMA)
    {
        return;
    }

    ngx_pulse_json_key(b, "output_config");
    ngx_pulse_buf_char(b, '{');

    if (out->effort > NGX_PULSE_EFFORT_NONE) {
        ngx_pulse_json_literal(b, "effort",
                               ngx_pulse_anthropic_levels[out->effort]);
    }

    if (cv->format == NGX_PULSE_FORMAT_SCHEMA) {
        ngx_pulse_json_key(b, "format");
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_literal(b, "type", "json_schema");
        ngx_pulse_json_raw(b, "schema", &cv->format_schema);
        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_char(b, '}');
}


/* none at all on new models, no other than 1 while thinking, one of
 * temperature and top_p */

static void
ngx_pulse_anthropic_write_sampling(ngx_pulse_anthropic_out_t *out)
{
    char                             text[32];
    ngx_uint_t                       allowed;
    const ngx_pulse_conversation_t  *cv;

    cv = out->cv;

    allowed = out->target->sampling
              && out->thinking < NGX_PULSE_ANTHROPIC_THINKING_ADAPTIVE;

    if (cv->temperature.len) {

        if (!allowed) {
            if (!ngx_pulse_is(&cv->temperature, "1")
                && !ngx_pulse_is(&cv->temperature, "1.0"))
            {
                ngx_pulse_dropped_add(out->dropped, "temperature");
            }

        } else {
            ngx_memzero(text, sizeof(text));
            ngx_memcpy(text, cv->temperature.data,
                       ngx_min(cv->temperature.len, sizeof(text) - 1));

            if (strtod(text, NULL) > 1.0) {
                ngx_pulse_json_number(out->b, "temperature", 1);
                ngx_pulse_dropped_add(out->dropped, "temperature");

            } else {
                ngx_pulse_json_raw(out->b, "temperature", &cv->temperature);
            }
        }
    }

    if (cv->top_p.len) {

        if (!allowed || cv->temperature.len) {
            ngx_pulse_dropped_add(out->dropped, "top_p");

        } else {
            ngx_pulse_json_raw(out->b, "top_p", &cv->top_p);
        }
    }

    if (cv->top_k.len) {

        if (!allowed) {
            ngx_pulse_dropped_add(out->dropped, "top_k");

        } else {
            ngx_pulse_json_raw(out->b, "top_k", &cv->top_k);
        }
    }
}


static void
ngx_pulse_anthropic_drop_rest(ngx_pulse_anthropic_out_t *out)
{
    const ngx_pulse_conversation_t  *cv;

    cv = out->cv;

    if (cv->presence_penalty.len) {
        ngx_pulse_dropped_add(out->dropped, "presence_penalty");
    }

    if (cv->frequency_penalty.len) {
        ngx_pulse_dropped_add(out->dropped, "frequency_penalty");
    }

    if (cv->seed.len) {
        ngx_pulse_dropped_add(out->dropped, "seed");
    }

    ngx_pulse_shared_drop(cv, out->dropped);

    if (cv->verbosity.len) {
        ngx_pulse_dropped_add(out->dropped, "verbosity");
    }

    if (cv->logprobs) {
        ngx_pulse_dropped_add(out->dropped, "logprobs");
    }
}
