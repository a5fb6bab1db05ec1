
#include "ngx_http_pulse_moderation.h"


/*
 * Categories of rules come from a file, and series are static: a category gets
 * one where it is read first, those that find none free share the last.
 */


#define NGX_HTTP_PULSE_MODERATION_ROWS    48
#define NGX_HTTP_PULSE_MODERATION_LABELS  (NGX_PULSE_MODERATION_NAME + 16)


static void ngx_http_pulse_moderation_take(ngx_uint_t row,
    const ngx_str_t *name);
static ngx_uint_t ngx_http_pulse_moderation_row(const ngx_str_t *name);


#define ngx_http_pulse_moderation_result(result)                              \
    { "pulse_moderation_requests_total", "result=\"" result "\"",             \
      "Requests that moderation looked at, by what came of it.",              \
      NGX_PULSE_METRIC_COUNTER, 0 }


static ngx_pulse_metric_t
    ngx_http_pulse_moderation_results[NGX_HTTP_PULSE_MODERATION_NCOUNTS] =
{
    ngx_http_pulse_moderation_result("passed"),
    ngx_http_pulse_moderation_result("flagged_by_rules"),
    ngx_http_pulse_moderation_result("flagged_by_provider"),
    ngx_http_pulse_moderation_result("unfit"),
    ngx_http_pulse_moderation_result("refused_unchecked"),
    ngx_http_pulse_moderation_result("passed_unchecked")
};


static ngx_pulse_metric_t
    ngx_http_pulse_moderation_rows[NGX_HTTP_PULSE_MODERATION_ROWS];

static char  ngx_http_pulse_moderation_labels[NGX_HTTP_PULSE_MODERATION_ROWS]
                                       [NGX_HTTP_PULSE_MODERATION_LABELS];


static ngx_pulse_metric_t  ngx_http_pulse_moderation_time = {
    "pulse_moderation_provider_seconds", NULL,
    "Time that the moderation of the provider took for a request.",
    NGX_PULSE_METRIC_HISTOGRAM, 0
};


/* of omni-moderation */

static ngx_str_t  ngx_http_pulse_moderation_names[] = {
    ngx_string("harassment"),
    ngx_string("harassment/threatening"),
    ngx_string("hate"),
    ngx_string("hate/threatening"),
    ngx_string("illicit"),
    ngx_string("illicit/violent"),
    ngx_string("self-harm"),
    ngx_string("self-harm/intent"),
    ngx_string("self-harm/instructions"),
    ngx_string("sexual"),
    ngx_string("sexual/minors"),
    ngx_string("violence"),
    ngx_string("violence/graphic"),
    ngx_null_string
};


ngx_int_t
ngx_http_pulse_moderation_metrics(ngx_conf_t *cf)
{
    ngx_str_t           *name;
    ngx_uint_t           i;
    ngx_pulse_metric_t  *m;

    static ngx_str_t  other = ngx_string("other");

    m = ngx_http_pulse_moderation_rows;

    for (i = 0; i < NGX_HTTP_PULSE_MODERATION_ROWS; i++) {
        m[i].name = "pulse_moderation_flagged_total";
        m[i].type = NGX_PULSE_METRIC_COUNTER;
    }

    ngx_http_pulse_moderation_take(NGX_HTTP_PULSE_MODERATION_ROWS - 1, &other);

    for (name = ngx_http_pulse_moderation_names; name->len; name++) {
        ngx_http_pulse_moderation_category(name);
    }

    if (ngx_pulse_metrics_register(cf, ngx_http_pulse_moderation_results,
                                   NGX_HTTP_PULSE_MODERATION_NCOUNTS)
        != NGX_OK
        || ngx_pulse_metrics_register(cf, m, NGX_HTTP_PULSE_MODERATION_ROWS)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_metrics_register(cf, &ngx_http_pulse_moderation_time, 1);
}


void
ngx_http_pulse_moderation_category(const ngx_str_t *name)
{
    ngx_uint_t  row;

    row = ngx_http_pulse_moderation_row(name);

    if (ngx_http_pulse_moderation_rows[row].labels == NULL) {
        ngx_http_pulse_moderation_take(row, name);
    }
}


static void
ngx_http_pulse_moderation_take(ngx_uint_t row, const ngx_str_t *name)
{
    ngx_pulse_metric_t  *m;

    m = &ngx_http_pulse_moderation_rows[row];

    (void) ngx_sprintf((u_char *) ngx_http_pulse_moderation_labels[row],
                       "category=\"%V\"%Z", name);

    m->labels = ngx_http_pulse_moderation_labels[row];
    m->help = "Requests refused by moderation, by category; one request may"
              " be in several.";
}


/* The row of a category, else the first that is free or the last. */

static ngx_uint_t
ngx_http_pulse_moderation_row(const ngx_str_t *name)
{
    size_t       len;
    ngx_uint_t   row;
    const char  *labels;

    len = sizeof("category=\"") - 1;

    for (row = 0; row < NGX_HTTP_PULSE_MODERATION_ROWS - 1; row++) {
        labels = ngx_http_pulse_moderation_rows[row].labels;

        if (labels == NULL
            || (ngx_strlen(labels) == len + name->len + 1
                && ngx_memcmp(labels + len, name->data, name->len) == 0))
        {
            break;
        }
    }

    return row;
}


void
ngx_http_pulse_moderation_count(ngx_http_pulse_moderation_count_e count)
{
    ngx_pulse_metric_add(&ngx_http_pulse_moderation_results[count], 1);
}


void
ngx_http_pulse_moderation_count_categories(const ngx_str_t *names)
{
    u_char      *p, *last;
    ngx_str_t    name;
    ngx_uint_t   row;

    last = names->data + names->len;

    for (p = names->data; p < last; p++) {

        if (*p != '"') {
            continue;
        }

        name.data = ++p;

        while (p < last && *p != '"') {
            p++;
        }

        name.len = p - name.data;

        row = ngx_http_pulse_moderation_row(&name);

        if (ngx_http_pulse_moderation_rows[row].labels == NULL) {

            /* new to this studio: only configuration takes rows */

            row = NGX_HTTP_PULSE_MODERATION_ROWS - 1;
        }

        ngx_pulse_metric_add(&ngx_http_pulse_moderation_rows[row], 1);
    }
}


void
ngx_http_pulse_moderation_count_told(const ngx_str_t *told)
{
    size_t       len;
    ngx_str_t    names;
    ngx_uint_t   i;
    const char  *result;

    for (i = 0; i < NGX_HTTP_PULSE_MODERATION_NCOUNTS; i++) {
        result = ngx_http_pulse_moderation_results[i].labels
                 + sizeof("result=\"") - 1;
        len = ngx_strlen(result) - 1;

        if (told->len < len || ngx_memcmp(told->data, result, len) != 0
            || (told->len > len && told->data[len] != ' '))
        {
            continue;
        }

        names.data = told->data + len;
        names.len = told->len - len;

        ngx_http_pulse_moderation_count(i);
        ngx_http_pulse_moderation_count_categories(&names);

        return;
    }
}


void
ngx_http_pulse_moderation_observe(ngx_msec_t ms)
{
    ngx_pulse_metric_observe(&ngx_http_pulse_moderation_time, ms);
}
