
#include "ngx_http_pulse.h"
#include "ngx_http_pulse_usage.h"


/*
 * GET /spend?kind=0&want=100&min=1&amount=60&progress=0&hold=0&until=path
 *     &end=settle&again=0
 *
 * Reserves, notes the progress, holds the reservation for "hold" ms, or until
 * there is a file "until", and ends it: settle (at "amount", else at what was
 * granted), cancel, or leave (to the cleanup).  "again" is reserved after
 * that, and settled.
 */

typedef struct {
    ngx_http_request_t  *request;
    ngx_event_t          timer;
    ngx_msec_t           hold;
    u_char              *until;
    ngx_str_t            end;
    int64_t              amount;
    uint64_t             progress;
} ngx_http_pulse_spend_ctx_t;


static ngx_int_t ngx_http_pulse_spend_handler(ngx_http_request_t *r);
static void ngx_http_pulse_spend_decided(ngx_http_request_t *r, void *data,
    ngx_int_t rc);
static void ngx_http_pulse_spend_timer(ngx_event_t *ev);
static void ngx_http_pulse_spend_end(ngx_http_pulse_spend_ctx_t *ctx);
static void ngx_http_pulse_spend_cleanup(void *data);
static int64_t ngx_http_pulse_spend_arg(ngx_http_request_t *r,
    const char *name, int64_t value);
static char *ngx_http_pulse_spend(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_pulse_spend_commands[] = {

    { ngx_string("spend"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_pulse_spend,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_pulse_spend_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_pulse_spend_module = {
    NGX_MODULE_V1,
    &ngx_http_pulse_spend_module_ctx,      /* module context */
    ngx_http_pulse_spend_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_pulse_spend_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_str_t                    until;
    ngx_http_cleanup_t          *cln;
    ngx_http_pulse_record_t     *record;
    ngx_http_pulse_spend_ctx_t  *ctx;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    record = ngx_http_pulse_record(r);
    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_spend_ctx_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (record == NULL || ctx == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_pulse_spend_cleanup;
    cln->data = ctx;

    ngx_str_set(&record->model, "spend-1");
    ngx_str_set(&record->provider, "spend");

    ctx->request = r;
    ctx->hold = ngx_http_pulse_spend_arg(r, "hold", 0);
    ctx->amount = ngx_http_pulse_spend_arg(r, "amount", -1);
    ctx->progress = ngx_http_pulse_spend_arg(r, "progress", 0);
    ctx->end = ngx_http_pulse_arg(r, "end");

    until = ngx_http_pulse_arg(r, "until");

    if (until.len) {
        ctx->until = ngx_pnalloc(r->pool, until.len + 1);

        if (ctx->until == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        (void) ngx_cpystrn(ctx->until, until.data, until.len + 1);
        ctx->hold = 20;
    }

    r->main->count++;

    rc = ngx_http_pulse_usage_reserve(r,
                                   ngx_http_pulse_spend_arg(r, "kind", 0),
                                   ngx_http_pulse_spend_arg(r, "want", 100),
                                   ngx_http_pulse_spend_arg(r, "min", 1),
                                   ngx_http_pulse_spend_decided, ctx);
    if (rc != NGX_AGAIN) {
        ngx_http_pulse_spend_decided(r, ctx, rc);
    }

    return NGX_DONE;
}


static void
ngx_http_pulse_spend_decided(ngx_http_request_t *r, void *data, ngx_int_t rc)
{
    ngx_http_pulse_spend_ctx_t *ctx = data;

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, ngx_http_pulse_usage_refuse(r));
        return;
    }

    if (ctx->progress) {
        ngx_http_pulse_usage_progress(ngx_http_pulse_record(r)->reservation,
                                      ctx->progress);
    }

    if (ctx->hold == 0) {
        ngx_http_pulse_spend_end(ctx);
        return;
    }

    r->read_event_handler = ngx_http_test_reading;

    ctx->timer.handler = ngx_http_pulse_spend_timer;
    ctx->timer.data = ctx;
    ctx->timer.log = r->connection->log;

    ngx_add_timer(&ctx->timer, ctx->hold);
}


static void
ngx_http_pulse_spend_timer(ngx_event_t *ev)
{
    ngx_http_pulse_spend_ctx_t *ctx = ev->data;

    ngx_file_info_t    fi;
    ngx_connection_t  *c;

    if (ctx->until && ngx_file_info(ctx->until, &fi) == NGX_FILE_ERROR) {
        ngx_add_timer(ev, ctx->hold);
        return;
    }

    c = ctx->request->connection;

    ngx_http_pulse_spend_end(ctx);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_pulse_spend_end(ngx_http_pulse_spend_ctx_t *ctx)
{
    uint64_t             granted, again;
    ngx_str_t            data;
    ngx_http_request_t  *r;

    r = ctx->request;
    granted = ngx_http_pulse_usage_granted(r);
    again = ngx_http_pulse_spend_arg(r, "again", 0);

    if (ctx->end.len == sizeof("cancel") - 1) {
        ngx_http_pulse_usage_cancel(r);

    } else if (ctx->end.len != sizeof("leave") - 1) {
        ngx_http_pulse_usage_settle(r, ctx->amount < 0
                                       ? granted : (uint64_t) ctx->amount);
    }

    if (again
        && ngx_http_pulse_usage_reserve(r, 0, again, again, NULL, NULL)
           == NGX_OK)
    {
        ngx_http_pulse_usage_settle(r, again);
    }

    data.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);

    if (data.data == NULL || ngx_http_pulse_usage_headers(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    data.len = ngx_sprintf(data.data, "%uL", granted) - data.data;

    ngx_http_finalize_request(r, ngx_http_pulse_reply(r, NGX_HTTP_OK, &data));
}


static void
ngx_http_pulse_spend_cleanup(void *data)
{
    ngx_http_pulse_spend_ctx_t *ctx = data;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }
}


static int64_t
ngx_http_pulse_spend_arg(ngx_http_request_t *r, const char *name,
    int64_t value)
{
    ngx_str_t  arg;

    arg = ngx_http_pulse_arg(r, name);

    return arg.data ? ngx_atoof(arg.data, arg.len) : value;
}


static char *
ngx_http_pulse_spend(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_pulse_spend_handler;

    return NGX_CONF_OK;
}
