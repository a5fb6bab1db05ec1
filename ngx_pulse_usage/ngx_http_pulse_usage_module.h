
#ifndef _NGX_HTTP_PULSE_USAGE_MODULE_H_INCLUDED_
#define _NGX_HTTP_PULSE_USAGE_MODULE_H_INCLUDED_


/* What the files of the usage module share among themselves. */


#include "ngx_http_pulse.h"
#include "ngx_http_pulse_usage.h"
#include "ngx_pulse_journal.h"
#include "ngx_pulse_meter.h"
#include "ngx_pulse_node.h"
#include "ngx_pulse_rate.h"


#define NGX_HTTP_PULSE_DRAIN_BATCH  500     /* events in one statement */


/* The zone; "journal" is one descriptor inherited from the master, so its
 * number is the same in all workers that have this zone. */

typedef struct {
    ngx_pulse_meter_t           meter;
    ngx_pulse_rate_t            rate;
    ngx_atomic_t                busy;           /* pid inside the lock */

    u_char                      incarnation[NGX_HTTP_PULSE_UUID_LEN + 1];
    ngx_fd_t                    journal;
    ngx_atomic_t                written;        /* bytes of the journal */
    ngx_atomic_t                allocated;      /* ... the disk has kept */
    ngx_uint_t                  unkept;         /* ... it cannot */
    uint64_t                    synced;
    uint64_t                    flushed;        /* the store has all before */
    ngx_pulse_journal_floor_t   floor;
    uint64_t                    undrained;      /* as metrics show it */

    ngx_msec_t                  seen;           /* by the store */
    uint64_t                    given_up;       /* ... so many times */
    ngx_msec_t                  beat;           /* of the keeper */
    ngx_atomic_t                keeper;         /* pid */
} ngx_http_pulse_usage_shared_t;


typedef struct {
    ngx_shm_zone_t                 *zone;
    ngx_slab_pool_t                *pool;
    ngx_http_pulse_usage_shared_t  *shared;
    ngx_str_t                       journal;    /* directory, no slash */
    ngx_msec_t                      sync;
    off_t                           max;
    ngx_msec_t                      lease_idle;
    ngx_msec_t                      lease_ttl;
} ngx_http_pulse_usage_main_conf_t;


typedef struct {
    ngx_array_t                    *limits;     /* ngx_pulse_rate_limit_t */
} ngx_http_pulse_usage_loc_conf_t;


typedef struct ngx_http_pulse_acquire_s  ngx_http_pulse_acquire_t;

/* of a request; the slot in the zone is its own until it has ended */

struct ngx_http_pulse_reservation_s {
    ngx_http_request_t                 *request;
    ngx_http_pulse_usage_main_conf_t   *conf;
    ngx_pulse_meter_reservation_t      *slot;       /* NULL: holds none */
    ngx_http_pulse_acquire_t           *acquire;    /* asked, or NULL */
    ngx_http_pulse_usage_handler_pt     handler;
    void                               *data;
    ngx_event_t                         wait;
    ngx_uint_t                          kind;
    uint64_t                            want;
    uint64_t                            min;
    uint64_t                            granted;
    uint64_t                            used;       /* for a refusal */
    uint64_t                            limit;
    int64_t                             period_end;
    ngx_uint_t                          tries;
    ngx_uint_t                          waits;
    u_char                              user[16];
    u_char                              id[16];
    unsigned                            receipt:1;  /* the ledger has it, or
                                                     * will */
};


/* A reader of a journal that sends what it closes to the store, in batches;
 * the live one of the keeper, and one for each dead node's. */

typedef struct ngx_http_pulse_drain_s  ngx_http_pulse_drain_t;

typedef void (*ngx_http_pulse_drain_record_pt)(ngx_http_pulse_drain_t *drain,
    ngx_pulse_journal_record_t *record);
typedef void (*ngx_http_pulse_drain_done_pt)(ngx_http_pulse_drain_t *drain,
    ngx_int_t rc);

struct ngx_http_pulse_drain_s {
    ngx_http_pulse_usage_main_conf_t  *conf;
    ngx_fd_t                           fd;
    uint64_t                           pos;     /* the store has all before */
    uint64_t                           next;    /* end of the batch sent */
    ngx_uint_t                         batch;   /* most events, halved when
                                                   the store refuses one */
    ngx_uint_t                         nsent;
    ngx_uint_t                         busy;    /* a batch is on its way */
    ngx_pulse_buf_t                    json;
    ngx_http_pulse_drain_record_pt     record;  /* each one read, or NULL */
    ngx_http_pulse_drain_done_pt       done;    /* a batch ended */
    void                              *data;
    u_char                             incarnation[NGX_HTTP_PULSE_UUID_LEN];
};


/* --- zone and worker (ngx_http_pulse_usage_module.c) --- */

/* The lock of the tables, for microseconds; repairs them first if the last
 * holder died inside. */
void ngx_http_pulse_usage_lock(ngx_http_pulse_usage_main_conf_t *umcf);
void ngx_http_pulse_usage_unlock(ngx_http_pulse_usage_main_conf_t *umcf);

/* 1 if the store has not been seen for so long that it may have given the
 * leases of this node to others: nothing may be taken from them any more. */
ngx_uint_t ngx_http_pulse_usage_unseen(ngx_http_pulse_usage_main_conf_t *umcf);

/* Slot of this worker in the zone. */
extern ngx_uint_t  ngx_http_pulse_usage_worker;


/* --- journal (ngx_http_pulse_journal.c) --- */

/* Makes the journal of a new zone, in the master. */
ngx_int_t ngx_http_pulse_journal_create(ngx_cycle_t *cycle,
    ngx_http_pulse_usage_main_conf_t *umcf);

/* The master's own hold on a journal whose zone is gone. */
void ngx_http_pulse_journal_leave(void);

/* Appends a record; NGX_ERROR if not all of it was written, or if it would
 * take the room that is kept for the ends of what is open. */
ngx_int_t ngx_http_pulse_journal_append(
    ngx_http_pulse_usage_main_conf_t *umcf,
    const ngx_pulse_journal_record_t *record);

/* Ends in the journal what ended in the tables: writes the close or cancel
 * and frees the slot, or leaves it to the keeper.  "record" is a copy of the
 * slot's, made under the lock: another keeper may be at the same slot. */
void ngx_http_pulse_journal_close(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_reservation_t *res,
    const ngx_pulse_journal_record_t *record);

/* Starts a flush to the disk if something is to be flushed. */
void ngx_http_pulse_journal_sync(ngx_http_pulse_usage_main_conf_t *umcf);

/* Writes the floor beside the journal and gives the space before it back. */
void ngx_http_pulse_journal_checkpoint(
    ngx_http_pulse_usage_main_conf_t *umcf);

/* Where a replay of this journal must start. */
uint64_t ngx_http_pulse_journal_floor(ngx_http_pulse_usage_main_conf_t *umcf,
    const u_char *incarnation);

/* Path of a file of the journal's directory, NUL terminated, in "path" of
 * NGX_MAX_PATH bytes. */
void ngx_http_pulse_journal_path(ngx_http_pulse_usage_main_conf_t *umcf,
    u_char *path, const u_char *incarnation, const char *suffix);


/* --- end of a reservation (ngx_http_pulse_settle.c) --- */

/* Copies what the request's record says of itself into the slot. */
void ngx_http_pulse_settle_fill(ngx_http_pulse_reservation_t *rv);

/* Ends the reservation, at "amount" or as a cancel. */
void ngx_http_pulse_settle_end(ngx_http_pulse_reservation_t *rv,
    uint64_t amount, ngx_uint_t cancel);


/* --- drain (ngx_http_pulse_drain.c) --- */

void ngx_http_pulse_drain_init(ngx_http_pulse_drain_t *drain,
    ngx_http_pulse_usage_main_conf_t *umcf, ngx_fd_t fd,
    const u_char *incarnation, uint64_t pos);

/*
 * Reads on.  NGX_OK: something was read, call again; NGX_AGAIN: a batch is
 * on its way, "done" follows; NGX_DONE: all is read; NGX_ERROR: the store or
 * the file cannot be reached, try later.
 */
ngx_int_t ngx_http_pulse_drain_step(ngx_http_pulse_drain_t *drain);

/* Its two halves.  The first says NGX_AGAIN when drain->json holds a batch
 * to be sent, whose end is drain->next. */
ngx_int_t ngx_http_pulse_drain_read(ngx_http_pulse_drain_t *drain);
ngx_int_t ngx_http_pulse_drain_send(ngx_http_pulse_drain_t *drain);

/* Adds a record to the batch that is being made. */
void ngx_http_pulse_drain_add(ngx_http_pulse_drain_t *drain,
    ngx_pulse_journal_record_t *record);

/* Takes rows of type lease_totals into the tables. */
void ngx_http_pulse_drain_merge(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_pg_result_t *res);


/* --- keeper (ngx_http_pulse_keeper.c) --- */

ngx_int_t ngx_http_pulse_keeper_start(ngx_cycle_t *cycle,
    ngx_http_pulse_usage_main_conf_t *umcf);
void ngx_http_pulse_keeper_stop(void);


/* --- leases (ngx_http_pulse_leases.c) --- */

void ngx_http_pulse_leases_start(ngx_http_pulse_usage_main_conf_t *umcf);

/* Gives back what is idle, unless an answer to that is still to come. */
void ngx_http_pulse_leases_return(ngx_http_pulse_usage_main_conf_t *umcf);

/* The parameter of lease_return() in "b": what is idle, or "all" that is
 * free, in up to as many accounts as one statement takes.  Starts after the
 * account "*from" and leaves there where to go on; returns how many. */
ngx_uint_t ngx_http_pulse_leases_collect(
    ngx_http_pulse_usage_main_conf_t *umcf, ngx_uint_t all, uint32_t *from,
    ngx_pulse_buf_t *b);

/* The store took the leases of this node: none is used any more. */
void ngx_http_pulse_leases_given_up(ngx_http_pulse_usage_main_conf_t *umcf);

/* Rows of node_seen() after the first name leases that others wait for. */
void ngx_http_pulse_leases_recalled(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_pg_result_t *res);

/* Asks for the leases that the store holds open for this node: answers that
 * were lost leave it with more than is known here. */
void ngx_http_pulse_leases_compare(ngx_http_pulse_usage_main_conf_t *umcf);


/* --- workers that are gone (ngx_http_pulse_orphans.c) --- */

/* Ends what dead workers left open, and frees their slots. */
void ngx_http_pulse_orphans_find(ngx_http_pulse_usage_main_conf_t *umcf);

/* Ends what the worker "pid" of a slot left open, at its progress or
 * estimate. */
void ngx_http_pulse_orphans_end(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_uint_t worker, ngx_pid_t pid);

/* When the process started, in its kernel's ticks.  NGX_DECLINED if it has
 * ended, NGX_ERROR if that cannot be told. */
ngx_int_t ngx_http_pulse_worker_started(ngx_pid_t pid, uint64_t *started);

/* 1 if the worker is gone for certain. */
ngx_uint_t ngx_http_pulse_worker_gone(const ngx_pulse_meter_worker_t *worker);


/* --- replay (ngx_http_pulse_replay.c) --- */

/* Takes up journals of nodes that are dead; at most one at a time. */
void ngx_http_pulse_replay(ngx_http_pulse_usage_main_conf_t *umcf);
void ngx_http_pulse_replay_stop(void);


/* --- the end of a node (ngx_http_pulse_leave.c) --- */

/* The last worker goes: what the journal holds is recorded and every lease
 * given back, if the store answers within two seconds. */
void ngx_http_pulse_leave(ngx_cycle_t *cycle,
    ngx_http_pulse_usage_main_conf_t *umcf);


/* --- rate windows (ngx_http_pulse_rate.c) --- */

ngx_int_t ngx_http_pulse_rate_handler(ngx_http_request_t *r);
char *ngx_http_pulse_rate_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Tells the other nodes what came here, and learns what came there. */
void ngx_http_pulse_rate_share(ngx_http_pulse_usage_main_conf_t *umcf);


/* --- endpoints (ngx_http_pulse_usage_api.c) --- */

ngx_int_t ngx_http_pulse_usage_api(ngx_conf_t *cf);


/* --- receipts (ngx_http_pulse_receipt.c) --- */

/* One event of the caller, also one that has not ended. */
void ngx_http_pulse_receipt(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);

/* The whole, for an operator. */
void ngx_http_pulse_receipt_audit(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);


/* --- metrics --- */

typedef enum {
    NGX_HTTP_PULSE_USAGE_OPEN = 0,
    NGX_HTTP_PULSE_USAGE_ADMITTED,
    NGX_HTTP_PULSE_USAGE_EXHAUSTED,
    NGX_HTTP_PULSE_USAGE_NO_PLAN,
    NGX_HTTP_PULSE_USAGE_INACTIVE,
    NGX_HTTP_PULSE_USAGE_NO_STORE,
    NGX_HTTP_PULSE_USAGE_RATE,
    NGX_HTTP_PULSE_USAGE_ACQUIRES,
    NGX_HTTP_PULSE_USAGE_RECORDED,
    NGX_HTTP_PULSE_USAGE_REJECTED,
    NGX_HTTP_PULSE_USAGE_UNDRAINED,
    NGX_HTTP_PULSE_USAGE_GARBAGE,
    NGX_HTTP_PULSE_USAGE_FLUSH_FAILED,
    NGX_HTTP_PULSE_USAGE_WRITE_FAILED,
    NGX_HTTP_PULSE_USAGE_ORPHANS,
    NGX_HTTP_PULSE_USAGE_REPLAYED,
    NGX_HTTP_PULSE_USAGE_NMETRICS
} ngx_http_pulse_usage_metric_e;

extern ngx_pulse_metric_t  ngx_http_pulse_usage_metrics[];

#define ngx_http_pulse_usage_count(i, n)                                      \
    ngx_pulse_metric_add(&ngx_http_pulse_usage_metrics[i], n)


extern ngx_module_t  ngx_http_pulse_usage_module;

/* statements, registered by the module, one list for each file */

extern ngx_pulse_pg_statement_t  ngx_http_pulse_reserve_statements[];
extern ngx_pulse_pg_statement_t  ngx_http_pulse_keeper_statements[];
extern ngx_pulse_pg_statement_t  ngx_http_pulse_leases_statements[];

#define NGX_HTTP_PULSE_LEASES_RETURN    0

extern ngx_pulse_pg_statement_t  ngx_http_pulse_drain_statements[];
extern ngx_pulse_pg_statement_t  ngx_http_pulse_replay_statements[];
extern ngx_pulse_pg_statement_t  ngx_http_pulse_usage_api_statements[];
extern ngx_pulse_pg_statement_t  ngx_http_pulse_receipt_statements[];


#endif /* _NGX_HTTP_PULSE_USAGE_MODULE_H_INCLUDED_ */
