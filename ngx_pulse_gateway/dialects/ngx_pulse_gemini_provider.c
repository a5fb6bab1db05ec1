
#include "ngx_pulse_gemini.h"


#define NGX_PULSE_GEMINI_STOPS       5
#define NGX_PULSE_GEMINI_MAX_BUDGET  24576


static ngx_int_t ngx_pulse_gemini_out_tools(ngx_pulse_gemini_out_t *o);
static ngx_int_t ngx_pulse_gemini_out_functions(ngx_pulse_gemini_out_t *o);
static void ngx_pulse_gemini_out_choice(ngx_pulse_gemini_out_t *o);
static ngx_int_t ngx_pulse_gemini_out_config(ngx_pulse_gemini_out_t *o);
static void ngx_pulse_gemini_out_sampling(ngx_pulse_gemini_out_t *o);
static void ngx_pulse_gemini_out_number(ngx_pulse_gemini_out_t *o,
    const char *key, const ngx_str_t *number, const char *name);
static void ngx_pulse_gemini_out_format(ngx_pulse_gemini_out_t *o);
static void ngx_pulse_gemini_out_thoughts(ngx_pulse_gemini_out_t *o);
static int64_t ngx_pulse_gemini_out_budget(ngx_pulse_gemini_out_t *o);
static const char *ngx_pulse_gemini_out_level(ngx_pulse_gemini_out_t *o);
static void ngx_pulse_gemini_out_others(ngx_pulse_gemini_out_t *o);


ngx_int_t
ngx_pulse_gemini_write(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b)
{
    const ngx_pulse_turn_t  *turn;
    ngx_pulse_gemini_out_t   o;

    ngx_memzero(&o, sizeof(ngx_pulse_gemini_out_t));

    o.cv = cv;
    o.target = target;
    o.pool = pool;
    o.dropped = dropped;
    o.refusal = refusal;
    o.b = b;
    o.levels = target->effort && !target->thinking_budget;

    ngx_pulse_buf_char(b, '{');

    /* instructions come first or are the user's; alone they are, too */

    for (turn = cv->turns; turn; turn = turn->next) {
        if (turn->role != NGX_PULSE_ROLE_SYSTEM) {
            break;
        }
    }

    if (turn == NULL) {
        turn = cv->turns;

    } else if (turn != cv->turns) {
        ngx_pulse_gemini_out_system(&o, turn);
    }

    if (ngx_pulse_gemini_out_contents(&o, turn) != NGX_OK
        || ngx_pulse_gemini_out_tools(&o) != NGX_OK
        || ngx_pulse_gemini_out_config(&o) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_buf_char(b, '}');

    ngx_pulse_gemini_out_others(&o);

    return b->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_out_tools(ngx_pulse_gemini_out_t *o)
{
    ngx_uint_t               functions, others;
    const ngx_pulse_tool_t  *tool;

    functions = 0;
    others = 0;

    for (tool = o->cv->tools; tool; tool = tool->next) {

        if (tool->cache.len) {
            ngx_pulse_dropped_add(o->dropped, "cache_control");
        }

        if (tool->raw.len == 0) {
            functions++;

        } else if (tool->dialect == NGX_PULSE_DIALECT_GEMINI) {
            others++;

        } else {
            return ngx_pulse_gemini_out_refuse(o, tool->at,
                       "a tool is of another provider than the model");
        }
    }

    if (functions + others) {
        ngx_pulse_json_key(o->b, "tools");
        ngx_pulse_buf_char(o->b, '[');

        if (functions && ngx_pulse_gemini_out_functions(o) != NGX_OK) {
            return NGX_DECLINED;
        }

        for (tool = o->cv->tools; tool; tool = tool->next) {

            if (tool->raw.len && tool->dialect == NGX_PULSE_DIALECT_GEMINI) {
                ngx_pulse_json_comma(o->b);
                ngx_pulse_buf_str(o->b, &tool->raw);
            }
        }

        ngx_pulse_buf_char(o->b, ']');
    }

    if (functions) {
        ngx_pulse_gemini_out_choice(o);
    }

    return NGX_OK;
}


/* all of them in one tool: several are taken for alternatives */

static ngx_int_t
ngx_pulse_gemini_out_functions(ngx_pulse_gemini_out_t *o)
{
    ngx_pulse_buf_t         *b;
    const ngx_pulse_tool_t  *tool;

    b = o->b;

    ngx_pulse_buf_literal(b, "{\"functionDeclarations\":[");

    for (tool = o->cv->tools; tool; tool = tool->next) {

        if (tool->raw.len) {
            continue;
        }

        if (tool->custom) {
            return ngx_pulse_gemini_out_refuse(o, tool->at,
                       "this model takes no tools without a schema");
        }

        if (tool->strict) {
            ngx_pulse_dropped_add(o->dropped, "strict");
        }

        ngx_pulse_json_comma(b);
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_string(b, "name", &tool->name);

        if (tool->description.len) {
            ngx_pulse_json_string(b, "description", &tool->description);
        }

        if (tool->parameters.len) {
            ngx_pulse_json_raw(b, "parametersJsonSchema", &tool->parameters);
        }

        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_literal(b, "]}");

    return NGX_OK;
}


static void
ngx_pulse_gemini_out_choice(ngx_pulse_gemini_out_t *o)
{
    ngx_uint_t  choice;

    static const char  *modes[] = { NULL, "AUTO", "NONE", "ANY", "ANY" };

    choice = o->cv->choice;

    if (choice >= NGX_PULSE_CHOICE_ANY && !o->target->forced_choice) {
        ngx_pulse_dropped_add(o->dropped, "tool_choice");
        choice = NGX_PULSE_CHOICE_AUTO;
    }

    if (choice == NGX_PULSE_CHOICE_UNSET) {
        return;
    }

    ngx_pulse_json_key(o->b, "toolConfig");
    ngx_pulse_buf_literal(o->b, "{\"functionCallingConfig\":{");
    ngx_pulse_json_literal(o->b, "mode", modes[choice]);

    if (choice == NGX_PULSE_CHOICE_NAMED) {
        ngx_pulse_json_key(o->b, "allowedFunctionNames");
        ngx_pulse_buf_char(o->b, '[');
        ngx_pulse_buf_json(o->b, o->cv->choice_name.data,
                           o->cv->choice_name.len);
        ngx_pulse_buf_char(o->b, ']');
    }

    ngx_pulse_buf_literal(o->b, "}}");
}


static ngx_int_t
ngx_pulse_gemini_out_config(ngx_pulse_gemini_out_t *o)
{
    ngx_uint_t                       i;
    const ngx_pulse_conversation_t  *cv;

    cv = o->cv;

    if (cv->n > 1) {
        return ngx_pulse_gemini_out_refuse(o, cv->n_at,
                   "this model gives one answer to a request");
    }

    if (cv->nstops > NGX_PULSE_GEMINI_STOPS) {
        return ngx_pulse_gemini_out_refuse(o, cv->stops_at,
                   "this model takes at most 5 stop sequences");
    }

    ngx_pulse_json_key(o->b, "generationConfig");
    ngx_pulse_buf_char(o->b, '{');
    ngx_pulse_json_number(o->b, "maxOutputTokens", o->target->max_tokens);

    ngx_pulse_gemini_out_sampling(o);

    if (cv->nstops) {
        ngx_pulse_json_key(o->b, "stopSequences");
        ngx_pulse_buf_char(o->b, '[');

        for (i = 0; i < cv->nstops; i++) {
            ngx_pulse_json_comma(o->b);
            ngx_pulse_buf_json(o->b, cv->stops[i].data, cv->stops[i].len);
        }

        ngx_pulse_buf_char(o->b, ']');
    }

    ngx_pulse_gemini_out_format(o);
    ngx_pulse_gemini_out_thoughts(o);

    ngx_pulse_buf_char(o->b, '}');

    return NGX_OK;
}


static void
ngx_pulse_gemini_out_sampling(ngx_pulse_gemini_out_t *o)
{
    int64_t                          seed;
    const ngx_pulse_conversation_t  *cv;

    cv = o->cv;

    ngx_pulse_gemini_out_number(o, "temperature", &cv->temperature,
                                "temperature");
    ngx_pulse_gemini_out_number(o, "topP", &cv->top_p, "top_p");
    ngx_pulse_gemini_out_number(o, "topK", &cv->top_k, "top_k");
    ngx_pulse_gemini_out_number(o, "presencePenalty", &cv->presence_penalty,
                                "presence_penalty");
    ngx_pulse_gemini_out_number(o, "frequencyPenalty", &cv->frequency_penalty,
                                "frequency_penalty");

    if (cv->logprobs && o->target->sampling) {
        ngx_pulse_json_key(o->b, "responseLogprobs");
        ngx_pulse_buf_literal(o->b, "true");

        if (cv->top_logprobs) {
            ngx_pulse_json_number(o->b, "logprobs", cv->top_logprobs);
        }

    } else if (cv->logprobs) {
        ngx_pulse_dropped_add(o->dropped, "logprobs");
    }

    if (cv->seed.len == 0) {
        return;
    }

    if (ngx_pulse_json_int(&cv->seed, &seed) != NGX_OK
        || seed < INT32_MIN || seed > INT32_MAX)
    {
        ngx_pulse_dropped_add(o->dropped, "seed");
        return;
    }

    ngx_pulse_json_number(o->b, "seed", seed);
}


static void
ngx_pulse_gemini_out_number(ngx_pulse_gemini_out_t *o, const char *key,
    const ngx_str_t *number, const char *name)
{
    if (number->len == 0) {
        return;
    }

    if (o->target->sampling) {
        ngx_pulse_json_raw(o->b, key, number);

    } else {
        ngx_pulse_dropped_add(o->dropped, name);
    }
}


static void
ngx_pulse_gemini_out_format(ngx_pulse_gemini_out_t *o)
{
    if (o->cv->format == NGX_PULSE_FORMAT_TEXT) {
        return;
    }

    ngx_pulse_json_literal(o->b, "responseMimeType", "application/json");

    if (o->cv->format == NGX_PULSE_FORMAT_SCHEMA) {
        ngx_pulse_json_raw(o->b, "responseJsonSchema",
                           &o->cv->format_schema);
    }
}


/* up to 2.5 thinking is set by tokens, from 3 on by levels: never both */

static void
ngx_pulse_gemini_out_thoughts(ngx_pulse_gemini_out_t *o)
{
    int64_t           budget;
    const char       *level;
    ngx_pulse_buf_t  *b;

    b = o->b;
    budget = -2;
    level = NULL;

    if (o->target->thinking_budget) {
        budget = ngx_pulse_gemini_out_budget(o);

    } else if (o->levels) {
        level = ngx_pulse_gemini_out_level(o);

    } else {

        if (o->cv->effort > NGX_PULSE_EFFORT_NONE) {
            ngx_pulse_dropped_add(o->dropped, "effort");
        }

        if (o->cv->budget) {
            ngx_pulse_dropped_add(o->dropped, "budget_tokens");
        }

        return;
    }

    if (budget == -2 && level == NULL && !o->cv->include_thoughts) {
        return;
    }

    ngx_pulse_json_key(b, "thinkingConfig");
    ngx_pulse_buf_char(b, '{');

    if (budget != -2) {
        ngx_pulse_json_number(b, "thinkingBudget", budget);
    }

    if (level) {
        ngx_pulse_json_literal(b, "thinkingLevel", level);
    }

    if (o->cv->include_thoughts) {
        ngx_pulse_json_key(b, "includeThoughts");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_buf_char(b, '}');
}


/* Google's own figures for OpenAI's efforts; -1: the model decides, -2:
 * nothing was said */

static int64_t
ngx_pulse_gemini_out_budget(ngx_pulse_gemini_out_t *o)
{
    const ngx_pulse_conversation_t  *cv;

    static const int64_t  budgets[] = {
        -2, 0, 1024, 1024, 8192, NGX_PULSE_GEMINI_MAX_BUDGET,
        NGX_PULSE_GEMINI_MAX_BUDGET, NGX_PULSE_GEMINI_MAX_BUDGET
    };

    cv = o->cv;

    if (cv->budget) {
        return ngx_min(cv->budget, NGX_PULSE_GEMINI_MAX_BUDGET);
    }

    if (cv->effort == NGX_PULSE_EFFORT_NONE && !o->target->thinking_off) {
        ngx_pulse_dropped_add(o->dropped, "effort");
        return 1024;
    }

    if (cv->effort == NGX_PULSE_EFFORT_UNSET && cv->adaptive) {
        return -1;
    }

    return budgets[cv->effort];
}


static const char *
ngx_pulse_gemini_out_level(ngx_pulse_gemini_out_t *o)
{
    int64_t     budget;
    ngx_uint_t  effort, nearest;

    /* in the order of NGX_PULSE_EFFORT_NONE and on */

    static const char  *levels[] = {
        "MINIMAL", "MINIMAL", "LOW", "MEDIUM", "HIGH"
    };

    effort = o->cv->effort;
    budget = o->cv->budget;

    if (effort == NGX_PULSE_EFFORT_UNSET) {

        if (budget == 0) {
            return NULL;
        }

        effort = (budget <= 2048) ? NGX_PULSE_EFFORT_LOW
                 : (budget <= 12288) ? NGX_PULSE_EFFORT_MEDIUM
                 : NGX_PULSE_EFFORT_HIGH;
    }

    /* nothing less is to be had; where there is no "minimal", more */

    effort = ngx_max(effort, NGX_PULSE_EFFORT_MINIMAL);

    if (effort > NGX_PULSE_EFFORT_HIGH) {
        effort = NGX_PULSE_EFFORT_HIGH;
        ngx_pulse_dropped_add(o->dropped, "effort");
    }

    nearest = ngx_pulse_effort(o->target, effort);

    if (nearest != effort) {
        ngx_pulse_dropped_add(o->dropped, "effort");
    }

    return levels[nearest - NGX_PULSE_EFFORT_NONE];
}


static void
ngx_pulse_gemini_out_others(ngx_pulse_gemini_out_t *o)
{
    const ngx_pulse_conversation_t  *cv;

    cv = o->cv;

    ngx_pulse_shared_drop(cv, o->dropped);

    if (cv->user.len) {
        ngx_pulse_dropped_add(o->dropped, "user");
    }

    if (cv->verbosity.len) {
        ngx_pulse_dropped_add(o->dropped, "verbosity");
    }

    if (cv->no_parallel) {
        ngx_pulse_dropped_add(o->dropped, "parallel_tool_calls");
    }

    if (cv->cache.len) {
        ngx_pulse_dropped_add(o->dropped, "cache_control");
    }
}


ngx_int_t
ngx_pulse_gemini_out_refuse(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_json_value_t *at, const char *reason)
{
    return ngx_pulse_refuse(o->refusal, at, NULL, reason);
}
