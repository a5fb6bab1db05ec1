
#include "ngx_http_pulse_usage_module.h"


/*
 * What the keeper tells the store of leases, and what it hears of them.  All
 * of it may be said twice, or late: totals only grow.
 */

#define NGX_HTTP_PULSE_LEASES_TIMEOUT    5000
#define NGX_HTTP_PULSE_LEASES_CHUNK      64     /* slots under one lock */
#define NGX_HTTP_PULSE_LEASES_CHUNKS     64     /* in one tick */
#define NGX_HTTP_PULSE_LEASES_RETURNS    200    /* in one statement */
#define NGX_HTTP_PULSE_LEASES_URGENT     1000   /* recalled in a second */

#define NGX_HTTP_PULSE_LEASES_LIST       1
#define NGX_HTTP_PULSE_LEASES_DROP       2


typedef struct {
    ngx_http_pulse_usage_main_conf_t  *conf;
    uint32_t                           account;     /* where returns go on */
    uint32_t                           recalled[NGX_HTTP_PULSE_LEASES_URGENT];
    ngx_uint_t                         nrecalled;
    unsigned                           returning:1; /* statements in flight */
    unsigned                           comparing:1;
    unsigned                           dropping:1;
} ngx_http_pulse_leases_t;


static ngx_pulse_meter_account_t *ngx_http_pulse_leases_find(
    ngx_http_pulse_usage_main_conf_t *umcf, ngx_pulse_pg_result_t *res,
    int row, int id, int owner);
static ngx_pulse_meter_account_t *ngx_http_pulse_leases_search(
    ngx_http_pulse_usage_main_conf_t *umcf, const u_char *lease_id);
static ngx_uint_t ngx_http_pulse_leases_collect_recalled(
    ngx_http_pulse_leases_t *ls, ngx_pulse_buf_t *b);
static ngx_uint_t ngx_http_pulse_leases_tell(
    ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_account_t *account, ngx_uint_t all, ngx_pulse_buf_t *b);
static void ngx_http_pulse_leases_return_handler(void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_leases_compare_handler(void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_leases_drop_handler(void *data,
    ngx_pulse_pg_result_t *res);


ngx_pulse_pg_statement_t  ngx_http_pulse_leases_statements[] = {

    { "lease_return", "SELECT * FROM lease_return($1, $2)", 2 },

    { "node_leases", "SELECT * FROM node_leases($1)", 1 },

    { "lease_close", "SELECT lease_close($1::uuid[])", 1 },

    { NULL, NULL, 0 }
};


static ngx_http_pulse_leases_t  ngx_http_pulse_leases;


void
ngx_http_pulse_leases_start(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_memzero(&ngx_http_pulse_leases, sizeof(ngx_http_pulse_leases_t));

    ngx_http_pulse_leases.conf = umcf;
}


void
ngx_http_pulse_leases_given_up(ngx_http_pulse_usage_main_conf_t *umcf)
{
    uint32_t            i;
    ngx_pulse_meter_t  *m;

    m = &umcf->shared->meter;

    for (i = 1; i <= m->accounts_top; i++) {

        ngx_http_pulse_usage_lock(umcf);
        ngx_pulse_node_given_up(&m->accounts[i]);
        ngx_http_pulse_usage_unlock(umcf);
    }
}


/* Rows after the first name leases that others wait for: they go back before
 * those that are only idle, whatever the length of the table is. */

void
ngx_http_pulse_leases_recalled(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_pg_result_t *res)
{
    int                         i, n;
    ngx_pulse_meter_t          *m;
    ngx_http_pulse_leases_t    *ls;
    ngx_pulse_meter_account_t  *account;

    ls = &ngx_http_pulse_leases;
    m = &umcf->shared->meter;
    n = PQntuples(res->rows);

    for (i = 1; i < n; i++) {
        account = ngx_http_pulse_leases_find(umcf, res, i, 1, 2);

        if (account) {
            account->recalled = 1;

            if (ls->nrecalled < NGX_HTTP_PULSE_LEASES_URGENT) {
                ls->recalled[ls->nrecalled++] = account - m->accounts;
            }

            ngx_http_pulse_usage_unlock(umcf);
        }
    }
}


/* The account of the lease in a row of an answer, with the lock held, or NULL
 * without it. */

static ngx_pulse_meter_account_t *
ngx_http_pulse_leases_find(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_pg_result_t *res, int row, int id, int owner)
{
    u_char                      user[16], lease_id[16];
    ngx_str_t                   text;
    ngx_pulse_meter_account_t  *account;

    text = ngx_pulse_pg_value(res, row, id);

    if (!ngx_pulse_uuid_valid(&text)) {
        return NULL;
    }

    ngx_pulse_uuid_bytes(lease_id, text.data);

    text = ngx_pulse_pg_value(res, row, owner);

    if (!ngx_pulse_uuid_valid(&text)) {

        /* the lease went with its user */

        return ngx_http_pulse_leases_search(umcf, lease_id);
    }

    ngx_pulse_uuid_bytes(user, text.data);

    ngx_http_pulse_usage_lock(umcf);

    account = ngx_pulse_meter_lease(&umcf->shared->meter, user, lease_id);

    if (account == NULL) {
        ngx_http_pulse_usage_unlock(umcf);
    }

    return account;
}


/* The table is searched without the lock: it is long. */

static ngx_pulse_meter_account_t *
ngx_http_pulse_leases_search(ngx_http_pulse_usage_main_conf_t *umcf,
    const u_char *lease_id)
{
    uint32_t                    i;
    ngx_pulse_meter_t          *m;
    ngx_pulse_meter_account_t  *account;

    m = &umcf->shared->meter;

    for (i = 1; i <= m->accounts_top; i++) {
        account = &m->accounts[i];

        if (ngx_memcmp(account->lease_id, lease_id, 16) != 0) {
            continue;
        }

        ngx_http_pulse_usage_lock(umcf);

        if (account->present
            && ngx_memcmp(account->lease_id, lease_id, 16) == 0)
        {
            return account;
        }

        ngx_http_pulse_usage_unlock(umcf);
    }

    return NULL;
}


void
ngx_http_pulse_leases_return(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_str_t                 params[2];
    ngx_pulse_buf_t           b;
    ngx_http_pulse_leases_t  *ls;

    ls = &ngx_http_pulse_leases;

    if (ls->returning
        || ngx_http_pulse_pg_pool == NULL
        || !ngx_pulse_pg_ready(ngx_http_pulse_pg_pool))
    {
        return;
    }

    ngx_pulse_buf_init(&b, 0);

    if (ngx_http_pulse_leases_collect_recalled(ls, &b) == 0
        && ngx_http_pulse_leases_collect(umcf, 0, &ls->account, &b) == 0)
    {
        return;
    }

    params[0].data = umcf->shared->incarnation;
    params[0].len = NGX_HTTP_PULSE_UUID_LEN;
    params[1].data = b.data;
    params[1].len = b.len;

    if (!b.failed
        && ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                              &ngx_http_pulse_leases_statements[
                                               NGX_HTTP_PULSE_LEASES_RETURN],
                              params, NGX_HTTP_PULSE_LEASES_TIMEOUT,
                              ngx_http_pulse_leases_return_handler, ls)
           == NGX_OK)
    {
        ls->returning = 1;
    }

    ngx_pulse_buf_free(&b);
}


static ngx_uint_t
ngx_http_pulse_leases_collect_recalled(ngx_http_pulse_leases_t *ls,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t                  sent;
    ngx_pulse_meter_account_t  *account;

    for (sent = 0;
         ls->nrecalled && sent < NGX_HTTP_PULSE_LEASES_RETURNS;
         ls->nrecalled--)
    {
        account = &ls->conf->shared->meter.accounts[
                                             ls->recalled[ls->nrecalled - 1]];

        ngx_http_pulse_usage_lock(ls->conf);

        /* the slot may be another's by now: nobody waits for that */

        if (account->present && account->recalled) {
            sent += ngx_http_pulse_leases_tell(ls->conf, account, 0, b);
        }

        ngx_http_pulse_usage_unlock(ls->conf);
    }

    ngx_pulse_buf_append(b, (u_char *) "]", sent ? 1 : 0);

    return sent;
}


ngx_uint_t
ngx_http_pulse_leases_collect(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_uint_t all, uint32_t *from, ngx_pulse_buf_t *b)
{
    ngx_uint_t                  n, sent;
    ngx_pulse_meter_t          *m;
    ngx_pulse_meter_account_t  *account;

    m = &umcf->shared->meter;
    sent = 0;

    ngx_http_pulse_usage_lock(umcf);

    for (n = 1; n <= ngx_min(m->accounts_top, NGX_HTTP_PULSE_LEASES_CHUNK
                                              * NGX_HTTP_PULSE_LEASES_CHUNKS);
         n++)
    {
        if (n % NGX_HTTP_PULSE_LEASES_CHUNK == 0) {
            ngx_http_pulse_usage_unlock(umcf);
            ngx_http_pulse_usage_lock(umcf);
        }

        *from = *from % m->accounts_top + 1;
        account = &m->accounts[*from];

        if (account->present
            && ngx_http_pulse_leases_tell(umcf, account, all, b)
            && ++sent == NGX_HTTP_PULSE_LEASES_RETURNS)
        {
            break;
        }
    }

    ngx_http_pulse_usage_unlock(umcf);

    ngx_pulse_buf_append(b, (u_char *) "]", sent ? 1 : 0);

    return sent;
}


/* Under the lock: 1 if the store is to be told of it, which "b" has then. */

static ngx_uint_t
ngx_http_pulse_leases_tell(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_account_t *account, ngx_uint_t all, ngx_pulse_buf_t *b)
{
    u_char                   id[NGX_HTTP_PULSE_UUID_LEN];
    ngx_pulse_node_notice_e  notice;

    notice = ngx_pulse_node_return(&umcf->shared->meter, account, all,
                                   umcf->lease_idle, ngx_current_msec);

    if (notice == NGX_PULSE_NODE_QUIET) {
        return 0;
    }

    ngx_pulse_uuid_text(id, account->lease_id);

    ngx_pulse_buf_char(b, b->len ? ',' : '[');
    ngx_pulse_buf_literal(b, "{\"id\":");
    ngx_pulse_buf_json(b, id, NGX_HTTP_PULSE_UUID_LEN);
    ngx_pulse_buf_literal(b, ",\"returned\":");
    ngx_pulse_buf_int(b, account->lease.returned);

    if (notice == NGX_PULSE_NODE_CLOSE) {
        ngx_pulse_buf_literal(b, ",\"close\":true}");

    } else {
        ngx_pulse_buf_literal(b, ",\"close\":false}");
    }

    return 1;
}


static void
ngx_http_pulse_leases_return_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_leases_t *ls = data;

    int                         i, n;
    ngx_str_t                   closed;
    ngx_pulse_meter_account_t  *account;

    ls->returning = 0;

    if (res->status != NGX_PULSE_PG_OK) {
        return;
    }

    ngx_http_pulse_drain_merge(ls->conf, res);

    /* a lease that is closed on both sides is forgotten */

    n = PQntuples(res->rows);

    for (i = 0; i < n; i++) {
        closed = ngx_pulse_pg_value(res, i, 5);

        if (closed.len == 0 || closed.data[0] != 't') {
            continue;
        }

        account = ngx_http_pulse_leases_find(ls->conf, res, i, 0, 1);

        if (account) {
            ngx_pulse_node_closed(&ls->conf->shared->meter, account);
            ngx_http_pulse_usage_unlock(ls->conf);
        }
    }

    /* where so many were to be told there are more, and a table that is full
     * of them admits nobody new */

    if (n >= NGX_HTTP_PULSE_LEASES_RETURNS && !ngx_terminate && !ngx_quit) {
        ngx_http_pulse_leases_return(ls->conf);
    }
}


/* Answers that were lost leave the store with more than is known here. */

void
ngx_http_pulse_leases_compare(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_str_t                 params[1];
    ngx_http_pulse_leases_t  *ls;

    ls = &ngx_http_pulse_leases;

    if (ls->comparing || ngx_http_pulse_pg_pool == NULL) {
        return;
    }

    params[0].data = umcf->shared->incarnation;
    params[0].len = NGX_HTTP_PULSE_UUID_LEN;

    if (ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                           &ngx_http_pulse_leases_statements[
                                               NGX_HTTP_PULSE_LEASES_LIST],
                           params, NGX_HTTP_PULSE_LEASES_TIMEOUT,
                           ngx_http_pulse_leases_compare_handler, ls)
        == NGX_OK)
    {
        ls->comparing = 1;
    }
}


static void
ngx_http_pulse_leases_compare_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_leases_t *ls = data;

    int                         i, n;
    u_char                      user[16], lease_id[16];
    ngx_str_t                   id, owner, param;
    ngx_pulse_buf_t             b;
    ngx_pulse_meter_account_t  *account;

    ls->comparing = 0;

    if (res->status != NGX_PULSE_PG_OK || ls->dropping) {
        return;
    }

    ngx_http_pulse_drain_merge(ls->conf, res);

    ngx_pulse_buf_init(&b, 0);
    n = PQntuples(res->rows);

    for (i = 0; i < n; i++) {
        id = ngx_pulse_pg_value(res, i, 0);
        owner = ngx_pulse_pg_value(res, i, 1);

        if (!ngx_pulse_uuid_valid(&id) || !ngx_pulse_uuid_valid(&owner)) {
            continue;
        }

        ngx_pulse_uuid_bytes(lease_id, id.data);
        ngx_pulse_uuid_bytes(user, owner.data);

        ngx_http_pulse_usage_lock(ls->conf);
        account = ngx_pulse_meter_lease(&ls->conf->shared->meter, user,
                                        lease_id);
        ngx_http_pulse_usage_unlock(ls->conf);

        if (account == NULL) {
            ngx_pulse_buf_char(&b, b.len ? ',' : '{');
            ngx_pulse_buf_str(&b, &id);
        }
    }

    if (b.len == 0) {
        return;
    }

    ngx_pulse_buf_char(&b, '}');

    param.data = b.data;
    param.len = b.len;

    if (!b.failed
        && ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                              &ngx_http_pulse_leases_statements[
                                                 NGX_HTTP_PULSE_LEASES_DROP],
                              &param, NGX_HTTP_PULSE_LEASES_TIMEOUT,
                              ngx_http_pulse_leases_drop_handler, ls)
           == NGX_OK)
    {
        ls->dropping = 1;
    }

    ngx_pulse_buf_free(&b);
}


static void
ngx_http_pulse_leases_drop_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_leases_t *ls = data;

    ls->dropping = 0;
}
