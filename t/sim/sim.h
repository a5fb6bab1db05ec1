
#ifndef _PULSE_SIM_H_INCLUDED_
#define _PULSE_SIM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_node.h"


/*
 * A world: nodes that run the meter's own code (account, meter, node,
 * journal), and one store that is a model of the statements of
 * conf/schema/0003_usage.sql.  Between them messages are lost, late and out
 * of order.  All that happens follows from a seed.
 */

#define SIM_NODES         4
#define SIM_WORKERS       3
#define SIM_USERS         4
#define SIM_PERIODS       24
#define SIM_REQUESTS      4096
#define SIM_LEASES        8192
#define SIM_INCARNATIONS  128
#define SIM_MESSAGES      48
#define SIM_ROWS          8         /* leases or events of a message */
#define SIM_TABLES        12288     /* bytes: so few slots that they fill */

#define SIM_NONE          ((uint32_t) -1)

/* ms; those of the configuration are shorter here, their order is the same */

#define SIM_PERIOD        60000
#define SIM_IDLE          2000
#define SIM_TTL           10000     /* pulse_lease_ttl */
#define SIM_SWEEP         15000     /* of the sidecar */
#define SIM_TIMEOUT       3000      /* an answer is waited for */


typedef enum {
    SIM_ACQUIRE = 0,
    SIM_RETURN,
    SIM_RECORD,
    SIM_SEEN,
    SIM_LIST,
    SIM_CLOSE,
    SIM_NODE_CLOSE
} sim_message_e;


typedef enum {
    SIM_REQUEST_NONE = 0,
    SIM_REQUEST_ASKING,
    SIM_REQUEST_WAITING,            /* for leases to come back */
    SIM_REQUEST_OPEN,
    SIM_REQUEST_ENDED,              /* it was charged */
    SIM_REQUEST_CANCELLED,
    SIM_REQUEST_REFUSED,
    SIM_REQUEST_LOST                /* with its node, while open */
} sim_request_e;


typedef struct {
    uint64_t                        limit;
    uint64_t                        used;
    uint64_t                        leased;
    uint64_t                        debt;
    uint64_t                        events;         /* sum of the ledger */
    ngx_uint_t                      exists;
    ngx_uint_t                      excused;        /* there may be debt */
    uint64_t                        short_until;    /* none takes more */
} sim_account_t;


typedef struct {
    ngx_pulse_lease_t               totals;
    uint32_t                        incarnation;
    uint32_t                        user;
    uint32_t                        period;
    uint64_t                        changed;
    u_char                          exists;
    u_char                          closed;
    u_char                          recalled;
} sim_lease_t;


typedef struct {
    uint64_t                        seen;
    uint32_t                        lost;           /* how often given up */
    u_char                          exists;
    u_char                          closed;
} sim_incarnation_t;


typedef struct {
    uint64_t                        started;
    sim_account_t                   accounts[SIM_USERS][SIM_PERIODS];
    sim_lease_t                     leases[SIM_LEASES];
    uint32_t                        open[SIM_LEASES];       /* of them */
    uint32_t                        nopen;
    sim_incarnation_t               nodes[SIM_INCARNATIONS];
    u_char                          ledger[SIM_REQUESTS];   /* rows of it */
    uint64_t                        amounts[SIM_REQUESTS];
} sim_store_t;


/* One row of what is sent or answered. */

typedef struct {
    uint32_t                        lease;
    uint32_t                        user;
    uint32_t                        period;
    uint32_t                        request;        /* of an event */
    uint64_t                        amount;
    uint64_t                        settled;
    ngx_pulse_lease_t               totals;
    uint64_t                        used;
    uint64_t                        limit;
    ngx_uint_t                      closed;
} sim_row_t;


typedef struct {
    sim_message_e                   type;
    uint32_t                        node;
    uint32_t                        incarnation;
    uint32_t                        request;
    uint32_t                        lease;
    uint32_t                        user;
    uint32_t                        file;           /* of a replay */
    ngx_pulse_node_question_t       question;
    uint64_t                        sent;
    size_t                          next;           /* of the journal */
    ngx_uint_t                      n;
    sim_row_t                       rows[SIM_ROWS];
    ngx_pulse_node_grant_t          grant;
    uint32_t                        lost;
    u_char                          used;
    u_char                          executed;
    u_char                          abandoned;      /* nobody waits for it */
    u_char                          refused;        /* "retired" */
} sim_message_t;


typedef struct {
    sim_request_e                   state;
    uint32_t                        node;
    uint32_t                        worker;
    uint32_t                        incarnation;
    uint32_t                        user;
    uint32_t                        period;
    ngx_pulse_meter_reservation_t  *slot;
    uint64_t                        want;
    uint64_t                        min;
    uint64_t                        reserved;
    uint64_t                        amount;         /* it ended at */
    uint64_t                        most;           /* it may be charged */
    uint64_t                        wake;
    ngx_uint_t                      tries;
    ngx_uint_t                      waits;
    ngx_uint_t                      extended;
    size_t                          opened;         /* end of its record */
    size_t                          closed;
    u_char                          cut;            /* a record was lost */
    u_char                          unknown;        /* ... both were */
} sim_request_t;


typedef struct {
    uint32_t                        incarnation;
    u_char                         *bytes;
    size_t                          len;
    size_t                          size;
    size_t                          synced;
    size_t                          flushed;
    ngx_pulse_journal_floor_t       floor;
} sim_journal_t;


/* A journal of the dead, and how far its replay has come. */

typedef struct {
    sim_journal_t                   journal;
    uint64_t                        from;           /* nobody finds it yet */
    size_t                          pos;
    uint32_t                        reader;         /* a node */
    ngx_uint_t                      busy;
    ngx_uint_t                      nopen;
    ngx_uint_t                      nsent;
    ngx_pulse_journal_record_t      open[SIM_REQUESTS / 16];
    u_char                          used;
} sim_file_t;


typedef struct {
    ngx_pulse_meter_t               meter;
    sim_journal_t                   journal;
    uint64_t                        seen;
    uint64_t                        compared;
    int64_t                         skew;           /* of its clock, ms */
    uint32_t                        incarnation;
    uint32_t                        lost;           /* as last heard */
    uint32_t                        cursor;
    u_char                          up;
    u_char                          apart;          /* from the store */
    u_char                          full;           /* its disk */
    u_char                          workers[SIM_WORKERS + 1];
    u_char                          draining;
    u_char                          returning;
    u_char                          seeing;
    u_char                          listing;
    uint64_t                        tables[SIM_TABLES / sizeof(uint64_t)];
} sim_node_t;


typedef struct {
    uint64_t                        random;
    uint64_t                        now;            /* ms */
    uint64_t                        steps;
    const char                     *wrong;
    ngx_uint_t                      calm;           /* nothing breaks */
    uint32_t                        nrequests;
    uint32_t                        nleases;
    uint32_t                        nincarnations;
    sim_store_t                     store;
    sim_node_t                      nodes[SIM_NODES];
    sim_file_t                      files[SIM_INCARNATIONS];
    sim_message_t                   messages[SIM_MESSAGES];
    sim_request_t                   requests[SIM_REQUESTS];
} sim_world_t;


/* What the steps of all worlds were, to show that all of them happen. */

typedef struct {
    uint64_t                        admitted;
    uint64_t                        refused;
    uint64_t                        ended;
    uint64_t                        extended;
    uint64_t                        kills;          /* of workers */
    uint64_t                        crashes;        /* of nodes */
    uint64_t                        cuts;           /* of journals */
    uint64_t                        replays;
    uint64_t                        sweeps;         /* that took leases */
    uint64_t                        lost;           /* messages */
    uint64_t                        probes;
    uint64_t                        slowest;        /* probe, ms */
} sim_counts_t;

extern sim_counts_t  sim_counts;


/* --- the store (sim_store.c): one function for each statement --- */

void sim_store_execute(sim_world_t *w, sim_message_t *message);
void sim_store_sweep(sim_world_t *w);
uint32_t sim_store_period(sim_world_t *w);
sim_account_t *sim_store_account(sim_world_t *w, uint32_t user,
    uint32_t period);

/* Runs what a trigger runs on an account that was changed. */
void sim_store_changed(sim_account_t *account);


/* --- nodes (sim_node.c) --- */

void sim_node_start(sim_world_t *w, uint32_t node);
void sim_node_kill(sim_world_t *w, uint32_t node, ngx_uint_t power);
void sim_node_kill_worker(sim_world_t *w, uint32_t node, uint32_t worker);
void sim_node_answer(sim_world_t *w, sim_message_t *message);
void sim_node_give_up(sim_world_t *w, sim_message_t *message);

/* The parts of a keeper's tick. */
void sim_node_drain(sim_world_t *w, uint32_t node);
void sim_node_return(sim_world_t *w, uint32_t node);
void sim_node_see(sim_world_t *w, uint32_t node);
void sim_node_compare(sim_world_t *w, uint32_t node);
void sim_node_survey(sim_world_t *w, uint32_t node);

/* The close of "id" is written once more, by a keeper that is late. */
void sim_node_late(sim_world_t *w, uint32_t node);


/* --- requests and replay (sim_request.c) --- */

uint32_t sim_request(sim_world_t *w, uint32_t node, uint32_t worker,
    uint32_t user, uint64_t want, uint64_t min);
void sim_request_answered(sim_world_t *w, uint32_t request);
void sim_request_wake(sim_world_t *w, uint32_t request);
void sim_request_extend(sim_world_t *w, uint32_t request, uint64_t amount);
void sim_request_end(sim_world_t *w, uint32_t request, uint64_t amount,
    ngx_uint_t cancel);
void sim_request_refuse(sim_world_t *w, uint32_t request);

/* Notes how a reservation ended, by whoever it was. */
void sim_request_closed(sim_world_t *w, sim_node_t *node,
    const ngx_pulse_journal_record_t *record, size_t at);

void sim_replay(sim_world_t *w, uint32_t node);
void sim_replay_answer(sim_world_t *w, sim_message_t *message);


/* --- what is common (simulate.c) --- */

uint32_t sim_any(sim_world_t *w, uint32_t n);
sim_message_t *sim_send(sim_world_t *w, sim_message_e type, uint32_t node);
ngx_int_t sim_append(sim_world_t *w, sim_node_t *node,
    const ngx_pulse_journal_record_t *record);
void sim_id(u_char *id, uint32_t n);
uint32_t sim_number(const u_char *id);
void sim_wrong(sim_world_t *w, const char *what);


/* --- what must hold (sim_check.c) --- */

/* At each step. */
void sim_check(sim_world_t *w);

/* When all has come to rest. */
void sim_check_rest(sim_world_t *w);


#endif /* _PULSE_SIM_H_INCLUDED_ */
