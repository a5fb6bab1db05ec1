
#include "ngx_http_pulse_gateway.h"


/*
 * What is counted, of each provider and of all.  Series are static, so that
 * they outlive reloads as their cells do: a provider gets a row by its name
 * where it is configured first, those that find none free share the last.
 */


#define NGX_HTTP_PULSE_GATEWAY_ROWS        24
#define NGX_HTTP_PULSE_GATEWAY_ROW_NAME    (NGX_PULSE_MODELS_PROVIDER_MAX + 1)
#define NGX_HTTP_PULSE_GATEWAY_ROW_LABELS  96


/* the kinds of series that each row has, behind its outcomes */

#define NGX_HTTP_PULSE_GATEWAY_OPEN        NGX_HTTP_PULSE_GATEWAY_NOUTCOMES
#define NGX_HTTP_PULSE_GATEWAY_HALF_OPEN   (NGX_HTTP_PULSE_GATEWAY_OPEN + 1)
#define NGX_HTTP_PULSE_GATEWAY_OPENED      (NGX_HTTP_PULSE_GATEWAY_OPEN + 2)
#define NGX_HTTP_PULSE_GATEWAY_KINDS       (NGX_HTTP_PULSE_GATEWAY_OPEN + 3)


static void ngx_http_pulse_gateway_row_take(ngx_uint_t row,
    const ngx_str_t *name);


#define ngx_http_pulse_gateway_outcome(outcome)                               \
    { "pulse_gateway_requests_total", ",outcome=\"" outcome "\"",             \
      "Requests by the provider asked last and how they ended.",              \
      NGX_PULSE_METRIC_COUNTER, 0 }

#define ngx_http_pulse_gateway_breaker(state)                                 \
    { "pulse_gateway_breakers", ",state=\"" state "\"",                       \
      "Circuit breakers that are not closed, by their state.",                \
      NGX_PULSE_METRIC_GAUGE, 0 }


/* with the labels that follow the provider's */

static ngx_pulse_metric_t
    ngx_http_pulse_gateway_kinds[NGX_HTTP_PULSE_GATEWAY_KINDS] =
{
    ngx_http_pulse_gateway_outcome("served"),
    ngx_http_pulse_gateway_outcome("refused"),
    ngx_http_pulse_gateway_outcome("failed"),
    ngx_http_pulse_gateway_outcome("cut"),
    ngx_http_pulse_gateway_outcome("client_gone"),

    ngx_http_pulse_gateway_breaker("open"),
    ngx_http_pulse_gateway_breaker("half_open"),

    { "pulse_gateway_breaker_opened_total", "",
      "Times that a circuit breaker opened.", NGX_PULSE_METRIC_COUNTER, 0 }
};


static ngx_pulse_metric_t  ngx_http_pulse_gateway_series
    [NGX_HTTP_PULSE_GATEWAY_KINDS][NGX_HTTP_PULSE_GATEWAY_ROWS];

static char  ngx_http_pulse_gateway_labels[NGX_HTTP_PULSE_GATEWAY_KINDS]
    [NGX_HTTP_PULSE_GATEWAY_ROWS][NGX_HTTP_PULSE_GATEWAY_ROW_LABELS];

static char  ngx_http_pulse_gateway_rows[NGX_HTTP_PULSE_GATEWAY_ROWS]
    [NGX_HTTP_PULSE_GATEWAY_ROW_NAME];


#define ngx_http_pulse_gateway_part(part)                                     \
    { "pulse_gateway_tokens_total", "part=\"" part "\"",                      \
      "Tokens settled, by part; cached is in input, reasoning in output.",    \
      NGX_PULSE_METRIC_COUNTER, 0 }


static ngx_pulse_metric_t  ngx_http_pulse_gateway_parts[] = {
    ngx_http_pulse_gateway_part("input"),
    ngx_http_pulse_gateway_part("cached"),
    ngx_http_pulse_gateway_part("output"),
    ngx_http_pulse_gateway_part("reasoning"),
    ngx_http_pulse_gateway_part("estimated")
};


static ngx_pulse_metric_t  ngx_http_pulse_gateway_times[] = {

    { "pulse_gateway_duration_seconds", NULL,
      "Time from the request to the end of its answer.",
      NGX_PULSE_METRIC_HISTOGRAM, 0 },

    { "pulse_gateway_first_token_seconds", NULL,
      "Time from the request to the first token of its answer.",
      NGX_PULSE_METRIC_HISTOGRAM, 0 }
};


ngx_int_t
ngx_http_pulse_gateway_metrics(ngx_conf_t *cf)
{
    ngx_uint_t           kind, row, n;
    ngx_pulse_metric_t  *m;

    for (kind = 0; kind < NGX_HTTP_PULSE_GATEWAY_KINDS; kind++) {
        m = ngx_http_pulse_gateway_series[kind];

        for (row = 0; row < NGX_HTTP_PULSE_GATEWAY_ROWS; row++) {

            if (m[row].name == NULL) {
                m[row] = ngx_http_pulse_gateway_kinds[kind];
                m[row].help = NULL;
            }
        }

        if (ngx_pulse_metrics_register(cf, m, NGX_HTTP_PULSE_GATEWAY_ROWS)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    n = sizeof(ngx_http_pulse_gateway_parts) / sizeof(ngx_pulse_metric_t);

    if (ngx_pulse_metrics_register(cf, ngx_http_pulse_gateway_parts, n)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = sizeof(ngx_http_pulse_gateway_times) / sizeof(ngx_pulse_metric_t);

    return ngx_pulse_metrics_register(cf, ngx_http_pulse_gateway_times, n);
}


ngx_uint_t
ngx_http_pulse_gateway_row(const ngx_str_t *provider)
{
    char              *name;
    ngx_uint_t         row;

    static ngx_str_t   other = ngx_string("other");

    for (row = 0; row < NGX_HTTP_PULSE_GATEWAY_ROWS - 1; row++) {
        name = ngx_http_pulse_gateway_rows[row];

        if (name[0] == '\0') {
            ngx_http_pulse_gateway_row_take(row, provider);
            return row;
        }

        if (ngx_strlen(name) == provider->len
            && ngx_memcmp(name, provider->data, provider->len) == 0)
        {
            return row;
        }
    }

    ngx_http_pulse_gateway_row_take(row, &other);

    return row;
}


static void
ngx_http_pulse_gateway_row_take(ngx_uint_t row, const ngx_str_t *name)
{
    char                *labels;
    ngx_uint_t           kind;
    ngx_pulse_metric_t  *m;

    ngx_cpystrn((u_char *) ngx_http_pulse_gateway_rows[row], name->data,
                name->len + 1);

    for (kind = 0; kind < NGX_HTTP_PULSE_GATEWAY_KINDS; kind++) {
        labels = ngx_http_pulse_gateway_labels[kind][row];

        (void) ngx_sprintf((u_char *) labels, "provider=\"%V\"%s%Z", name,
                           ngx_http_pulse_gateway_kinds[kind].labels);

        m = &ngx_http_pulse_gateway_series[kind][row];

        m->labels = labels;
        m->help = ngx_http_pulse_gateway_kinds[kind].help;
    }
}


void
ngx_http_pulse_gateway_count(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_http_pulse_gateway_outcome_e outcome)
{
    ngx_uint_t  row;

    static const char  *names[] = {
        "served", "refused", "failed", "cut", "gone"
    };

    ngx_http_pulse_gateway_hop_end(ctx, names[outcome]);

    row = ctx->route.elts[ctx->candidate].provider->row;

    ngx_pulse_metric_add(&ngx_http_pulse_gateway_series[outcome][row], 1);

    ngx_pulse_metric_observe(&ngx_http_pulse_gateway_times[0],
                             ngx_http_pulse_gateway_elapsed(ctx->request));
}


void
ngx_http_pulse_gateway_count_breaker(ngx_http_pulse_provider_t *provider,
    ngx_int_t open, ngx_int_t half)
{
    ngx_pulse_metric_t  (*series)[NGX_HTTP_PULSE_GATEWAY_ROWS];

    series = ngx_http_pulse_gateway_series;

    ngx_pulse_metric_add(
        &series[NGX_HTTP_PULSE_GATEWAY_OPEN][provider->row], open);
    ngx_pulse_metric_add(
        &series[NGX_HTTP_PULSE_GATEWAY_HALF_OPEN][provider->row], half);

    if (open > 0) {
        ngx_pulse_metric_add(
            &series[NGX_HTTP_PULSE_GATEWAY_OPENED][provider->row], 1);
    }
}


void
ngx_http_pulse_gateway_count_tokens(ngx_http_pulse_record_t *record)
{
    ngx_pulse_metric_t  *parts;

    parts = ngx_http_pulse_gateway_parts;

    ngx_pulse_metric_add(&parts[0], record->input);
    ngx_pulse_metric_add(&parts[1], record->cached);
    ngx_pulse_metric_add(&parts[2], record->output);
    ngx_pulse_metric_add(&parts[3], record->reasoning);

    if (record->estimated) {
        ngx_pulse_metric_add(&parts[4], record->input + record->output);
    }
}


void
ngx_http_pulse_gateway_first_token(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ctx->record->first_token = ngx_max(ngx_http_pulse_gateway_elapsed(r), 1);

    ngx_pulse_metric_observe(&ngx_http_pulse_gateway_times[1],
                             ctx->record->first_token);
}


ngx_msec_t
ngx_http_pulse_gateway_elapsed(ngx_http_request_t *r)
{
    ngx_time_t      *tp;
    ngx_msec_int_t   ms;

    tp = ngx_timeofday();

    ms = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                           + (tp->msec - r->start_msec));

    return (ngx_msec_t) ngx_max(ms, 0);
}
