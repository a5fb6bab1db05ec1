
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_metrics.h"


#define NGX_PULSE_METRICS_SLOTS  64
#define NGX_PULSE_METRICS_CELLS  2048

/* cells of a histogram: its buckets, then the two */

#define NGX_PULSE_METRIC_COUNT   NGX_PULSE_METRIC_BUCKETS
#define NGX_PULSE_METRIC_SUM     (NGX_PULSE_METRIC_BUCKETS + 1)


/*
 * A worker counts in its own slot, whole cache lines of cells, and a reader
 * adds the slots up.  Additions are atomic nevertheless: around a reload two
 * workers have the same number.
 *
 * The cells of a series depend on nothing but the order of registration,
 * and a series stays registered as long as the module is loaded.  So the
 * zone outlives reloads as it is.
 */

typedef struct {
    ngx_atomic_t    cells[NGX_PULSE_METRICS_CELLS];
} ngx_pulse_metrics_slot_t;


static ngx_int_t ngx_pulse_metrics_init_zone(ngx_shm_zone_t *zone, void *data);
static ngx_atomic_t *ngx_pulse_metric_cell(ngx_pulse_metric_t *m);
static ngx_int_t ngx_pulse_metric_sum(ngx_pulse_metric_t *m, ngx_uint_t cell);
static void ngx_pulse_metric_head(ngx_pulse_buf_t *b, ngx_pulse_metric_t *m);
static void ngx_pulse_metric_line(ngx_pulse_buf_t *b, ngx_pulse_metric_t *m,
    const char *suffix, ngx_int_t le);
static void ngx_pulse_metric_histogram(ngx_pulse_buf_t *b,
    ngx_pulse_metric_t *m);
static void ngx_pulse_metric_seconds(ngx_pulse_buf_t *b, ngx_int_t ms);
static void ngx_pulse_metric_text(ngx_pulse_buf_t *b, const char *s);


static const char  *ngx_pulse_metric_types[] = {
    "counter",
    "gauge",
    "histogram"
};


/* upper bounds, ms */

static const ngx_msec_t
    ngx_pulse_metric_bounds[NGX_PULSE_METRIC_BUCKETS] =
{
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000,
    60000, 120000
};


static ngx_pulse_metric_t        *ngx_pulse_metrics[NGX_PULSE_METRICS_MAX];
static ngx_uint_t                 ngx_pulse_nmetrics;
static ngx_uint_t                 ngx_pulse_ncells;
static ngx_pulse_metrics_slot_t  *ngx_pulse_metrics_slots;


ngx_int_t
ngx_pulse_metrics_register(ngx_conf_t *cf, ngx_pulse_metric_t *m,
    ngx_uint_t n)
{
    ngx_uint_t  i, k, ncells;

    for (i = 0; i < n; i++) {

        for (k = 0; k < ngx_pulse_nmetrics; k++) {
            if (ngx_pulse_metrics[k] == &m[i]) {
                break;
            }
        }

        if (k < ngx_pulse_nmetrics) {
            continue;
        }

        ncells = (m[i].type == NGX_PULSE_METRIC_HISTOGRAM)
                 ? NGX_PULSE_METRIC_BUCKETS + 2 : 1;

        if (k == NGX_PULSE_METRICS_MAX
            || ngx_pulse_ncells + ncells > NGX_PULSE_METRICS_CELLS)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "pulse metrics: too many series");
            return NGX_ERROR;
        }

        m[i].index = ngx_pulse_ncells;

        ngx_pulse_ncells += ncells;
        ngx_pulse_metrics[ngx_pulse_nmetrics++] = &m[i];
    }

    return NGX_OK;
}


ngx_int_t
ngx_pulse_metrics_zone(ngx_conf_t *cf, void *tag)
{
    size_t           size;
    ngx_str_t        name;
    ngx_shm_zone_t  *zone;

    ngx_str_set(&name, "pulse_metrics");

    /* the slots, and what the slab allocator keeps for itself */

    size = NGX_PULSE_METRICS_SLOTS * sizeof(ngx_pulse_metrics_slot_t)
           + 16 * ngx_pagesize;

    zone = ngx_shared_memory_add(cf, &name, size, tag);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->init = ngx_pulse_metrics_init_zone;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_metrics_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *shpool;

    if (data == NULL) {
        shpool = (ngx_slab_pool_t *) zone->shm.addr;

        data = ngx_slab_calloc(shpool, NGX_PULSE_METRICS_SLOTS
                                       * sizeof(ngx_pulse_metrics_slot_t));
        if (data == NULL) {
            return NGX_ERROR;
        }
    }

    zone->data = data;
    ngx_pulse_metrics_slots = data;

    return NGX_OK;
}


static ngx_atomic_t *
ngx_pulse_metric_cell(ngx_pulse_metric_t *m)
{
    ngx_uint_t  slot;

    slot = ngx_worker % NGX_PULSE_METRICS_SLOTS;

    return &ngx_pulse_metrics_slots[slot].cells[m->index];
}


void
ngx_pulse_metric_add(ngx_pulse_metric_t *m, ngx_int_t n)
{
    if (ngx_pulse_metrics_slots != NULL) {
        (void) ngx_atomic_fetch_add(ngx_pulse_metric_cell(m), n);
    }
}


void
ngx_pulse_metric_set(ngx_pulse_metric_t *m, ngx_int_t n)
{
    if (ngx_pulse_metrics_slots != NULL) {
        *ngx_pulse_metric_cell(m) = n;
    }
}


void
ngx_pulse_metric_observe(ngx_pulse_metric_t *m, ngx_msec_t ms)
{
    ngx_uint_t     i;
    ngx_atomic_t  *cells;

    if (ngx_pulse_metrics_slots == NULL) {
        return;
    }

    cells = ngx_pulse_metric_cell(m);

    for (i = 0; i < NGX_PULSE_METRIC_BUCKETS; i++) {

        if (ms <= ngx_pulse_metric_bounds[i]) {
            (void) ngx_atomic_fetch_add(&cells[i], 1);
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&cells[NGX_PULSE_METRIC_COUNT], 1);
    (void) ngx_atomic_fetch_add(&cells[NGX_PULSE_METRIC_SUM], ms);
}


ngx_int_t
ngx_pulse_metric_value(ngx_pulse_metric_t *m)
{
    return ngx_pulse_metric_sum(m, 0);
}


static ngx_int_t
ngx_pulse_metric_sum(ngx_pulse_metric_t *m, ngx_uint_t cell)
{
    ngx_int_t   n;
    ngx_uint_t  i;

    if (ngx_pulse_metrics_slots == NULL) {
        return 0;
    }

    n = 0;

    for (i = 0; i < NGX_PULSE_METRICS_SLOTS; i++) {
        n += (ngx_int_t) ngx_pulse_metrics_slots[i].cells[m->index + cell];
    }

    return n;
}


void
ngx_pulse_metrics_text(ngx_pulse_buf_t *b)
{
    ngx_uint_t           i;
    ngx_pulse_metric_t  *m, *last;

    last = NULL;

    for (i = 0; i < ngx_pulse_nmetrics; i++) {
        m = ngx_pulse_metrics[i];

        if (m->help == NULL) {
            continue;
        }

        if (last == NULL || ngx_strcmp(m->name, last->name) != 0) {
            ngx_pulse_metric_head(b, m);
        }

        last = m;

        if (m->type == NGX_PULSE_METRIC_HISTOGRAM) {
            ngx_pulse_metric_histogram(b, m);
            continue;
        }

        ngx_pulse_metric_line(b, m, "", -1);
        ngx_pulse_buf_int(b, ngx_pulse_metric_value(m));
        ngx_pulse_buf_char(b, '\n');
    }
}


static void
ngx_pulse_metric_head(ngx_pulse_buf_t *b, ngx_pulse_metric_t *m)
{
    ngx_pulse_buf_literal(b, "# HELP ");
    ngx_pulse_metric_text(b, m->name);
    ngx_pulse_buf_char(b, ' ');
    ngx_pulse_metric_text(b, m->help);
    ngx_pulse_buf_literal(b, "\n# TYPE ");
    ngx_pulse_metric_text(b, m->name);
    ngx_pulse_buf_char(b, ' ');
    ngx_pulse_metric_text(b, ngx_pulse_metric_types[m->type]);
    ngx_pulse_buf_char(b, '\n');
}


/* A line up to its value; "le" in ms, 0 is infinity, -1 is no bound. */

static void
ngx_pulse_metric_line(ngx_pulse_buf_t *b, ngx_pulse_metric_t *m,
    const char *suffix, ngx_int_t le)
{
    ngx_pulse_metric_text(b, m->name);
    ngx_pulse_metric_text(b, suffix);

    if (m->labels != NULL || le >= 0) {
        ngx_pulse_buf_char(b, '{');

        if (m->labels != NULL) {
            ngx_pulse_metric_text(b, m->labels);
        }

        if (le >= 0) {

            if (m->labels != NULL) {
                ngx_pulse_buf_char(b, ',');
            }

            ngx_pulse_buf_literal(b, "le=\"");

            if (le) {
                ngx_pulse_metric_seconds(b, le);

            } else {
                ngx_pulse_buf_literal(b, "+Inf");
            }

            ngx_pulse_buf_char(b, '"');
        }

        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_char(b, ' ');
}


static void
ngx_pulse_metric_histogram(ngx_pulse_buf_t *b, ngx_pulse_metric_t *m)
{
    ngx_int_t   n, count;
    ngx_uint_t  i;

    /* a worker adds to the count last: none of the buckets may pass it */

    count = ngx_pulse_metric_sum(m, NGX_PULSE_METRIC_COUNT);
    n = 0;

    for (i = 0; i < NGX_PULSE_METRIC_BUCKETS; i++) {
        n += ngx_pulse_metric_sum(m, i);

        ngx_pulse_metric_line(b, m, "_bucket", ngx_pulse_metric_bounds[i]);
        ngx_pulse_buf_int(b, ngx_min(n, count));
        ngx_pulse_buf_char(b, '\n');
    }

    ngx_pulse_metric_line(b, m, "_bucket", 0);
    ngx_pulse_buf_int(b, count);
    ngx_pulse_buf_char(b, '\n');

    ngx_pulse_metric_line(b, m, "_sum", -1);
    ngx_pulse_metric_seconds(b, ngx_pulse_metric_sum(m, NGX_PULSE_METRIC_SUM));
    ngx_pulse_buf_char(b, '\n');

    ngx_pulse_metric_line(b, m, "_count", -1);
    ngx_pulse_buf_int(b, count);
    ngx_pulse_buf_char(b, '\n');
}


/* Without trailing zeros, as clients of Prometheus print a bound. */

static void
ngx_pulse_metric_seconds(ngx_pulse_buf_t *b, ngx_int_t ms)
{
    ngx_int_t  unit;

    ngx_pulse_buf_int(b, ms / 1000);

    ms %= 1000;

    if (ms) {
        ngx_pulse_buf_char(b, '.');

        for (unit = 100; ms; unit /= 10) {
            ngx_pulse_buf_char(b, (u_char) (ms / unit + '0'));
            ms %= unit;
        }
    }
}


static void
ngx_pulse_metric_text(ngx_pulse_buf_t *b, const char *s)
{
    ngx_pulse_buf_append(b, (const u_char *) s, ngx_strlen(s));
}
