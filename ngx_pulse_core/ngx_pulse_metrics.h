
#ifndef _NGX_PULSE_METRICS_H_INCLUDED_
#define _NGX_PULSE_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


#define NGX_PULSE_METRIC_COUNTER    0
#define NGX_PULSE_METRIC_GAUGE      1
#define NGX_PULSE_METRIC_HISTOGRAM  2

#define NGX_PULSE_METRICS_MAX       512
#define NGX_PULSE_METRIC_BUCKETS    16


/*
 * One series.  Static; series of one name stand together and share help and
 * type.  Observations of histograms are in ms, bounds are written in s.
 */

typedef struct {
    const char   *name;         /* pulse_..., Prometheus conventions */
    const char   *labels;       /* code="QUOTA_EXCEEDED", or NULL */
    const char   *help;         /* NULL: not to be written yet */
    ngx_uint_t    type;
    ngx_uint_t    index;        /* set by ngx_pulse_metrics_register() */
} ngx_pulse_metric_t;


/* Adds "n" series, from a module's preconfiguration. */
ngx_int_t ngx_pulse_metrics_register(ngx_conf_t *cf, ngx_pulse_metric_t *m,
    ngx_uint_t n);

/* Adds the zone; called once by the core module. */
ngx_int_t ngx_pulse_metrics_zone(ngx_conf_t *cf, void *tag);

/* Counters and gauges; safe before the zone exists (does nothing). */
void ngx_pulse_metric_add(ngx_pulse_metric_t *m, ngx_int_t n);
void ngx_pulse_metric_set(ngx_pulse_metric_t *m, ngx_int_t n);

/* Histograms: one observation, ms. */
void ngx_pulse_metric_observe(ngx_pulse_metric_t *m, ngx_msec_t ms);

/* Current value of a counter or gauge, summed over the workers. */
ngx_int_t ngx_pulse_metric_value(ngx_pulse_metric_t *m);

/* Prometheus text format 0.0.4 of everything registered. */
void ngx_pulse_metrics_text(ngx_pulse_buf_t *b);


#endif /* _NGX_PULSE_METRICS_H_INCLUDED_ */
