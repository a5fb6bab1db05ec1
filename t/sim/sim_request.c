
/*
 * Requests, as ngx_http_pulse_{reserve,settle}.c have them, and the replay of
 * journals of the dead, as ngx_http_pulse_replay.c does it.
 */

#include "sim.h"


#define SIM_TRIES   8
#define SIM_WINDOW  900


static ngx_pulse_node_verdict_e sim_request_try(sim_world_t *w, uint32_t n);
static ngx_pulse_meter_account_t *sim_request_account(sim_world_t *w,
    sim_node_t *node, sim_request_t *request);
static void sim_request_open(sim_world_t *w, uint32_t n,
    ngx_pulse_meter_reservation_t *res);
static void sim_request_ask(sim_world_t *w, uint32_t n);
static sim_file_t *sim_replay_file(sim_world_t *w, uint32_t node);
static void sim_replay_read(sim_world_t *w, sim_file_t *file);
static void sim_replay_record(sim_file_t *file,
    ngx_pulse_journal_record_t *record);
static void sim_replay_end(sim_world_t *w, sim_file_t *file);
static void sim_replay_row(sim_message_t *message,
    ngx_pulse_journal_record_t *record);


static const uint64_t  sim_waits[] = { 300, 700, 1500 };


uint32_t
sim_request(sim_world_t *w, uint32_t node, uint32_t worker, uint32_t user,
    uint64_t want, uint64_t min)
{
    uint32_t        n;
    sim_request_t  *request;

    n = w->nrequests;

    if (n == SIM_REQUESTS || w->nleases + 8 > SIM_LEASES) {
        return SIM_NONE;
    }

    w->nrequests++;
    request = &w->requests[n];

    request->node = node;
    request->worker = worker;
    request->incarnation = w->nodes[node].incarnation;
    request->user = user;
    request->want = want;
    request->min = min;

    switch (sim_request_try(w, n)) {

    case NGX_PULSE_NODE_ADMITTED:
        break;

    case NGX_PULSE_NODE_ASK:
    case NGX_PULSE_NODE_ELSEWHERE:
        sim_request_ask(w, n);
        break;

    default:
        sim_request_refuse(w, n);
    }

    return n;
}


static ngx_pulse_node_verdict_e
sim_request_try(sim_world_t *w, uint32_t n)
{
    u_char                          id[16];
    sim_node_t                     *node;
    sim_request_t                  *request;
    ngx_pulse_node_verdict_e        verdict;
    ngx_pulse_meter_account_t      *account;
    ngx_pulse_meter_reservation_t  *res;

    request = &w->requests[n];
    node = &w->nodes[request->node];

    if (w->now - node->seen > SIM_TTL) {
        return NGX_PULSE_NODE_FULL;
    }

    account = sim_request_account(w, node, request);

    if (account == NULL) {
        return NGX_PULSE_NODE_FULL;
    }

    sim_id(id, n);

    verdict = ngx_pulse_node_admit(&node->meter, account, request->want,
                                   request->min, id, request->worker, w->now,
                                   &res);

    if (verdict == NGX_PULSE_NODE_ADMITTED) {
        sim_request_open(w, n, res);

        if (request->state != SIM_REQUEST_OPEN) {
            return NGX_PULSE_NODE_FULL;
        }
    }

    return verdict;
}


static ngx_pulse_meter_account_t *
sim_request_account(sim_world_t *w, sim_node_t *node, sim_request_t *request)
{
    u_char                      user[16], lease[16];
    int64_t                     wall;
    ngx_pulse_meter_account_t  *account;

    wall = (int64_t) w->now + node->skew;
    sim_id(user, request->user);

    account = ngx_pulse_node_account(&node->meter, user, 0, NULL, w->now,
                                     wall);

    if (account == NULL && w->nleases + 1 < SIM_LEASES) {
        sim_id(lease, ++w->nleases);
        account = ngx_pulse_node_account(&node->meter, user, 0, lease,
                                         w->now, wall);
    }

    return account;
}


static void
sim_request_open(sim_world_t *w, uint32_t n,
    ngx_pulse_meter_reservation_t *res)
{
    sim_node_t     *node;
    sim_lease_t    *lease;
    sim_request_t  *request;

    request = &w->requests[n];
    node = &w->nodes[request->node];
    lease = &w->store.leases[sim_number(res->record.lease)];

    if (lease->closed) {
        sim_wrong(w, "admitted from a lease that the store has taken");
    }

    res->floor = node->journal.flushed;

    if (sim_append(w, node, &res->record) != NGX_OK) {
        ngx_pulse_meter_cancel(&node->meter, res);
        ngx_pulse_meter_release(&node->meter, res, res->record.id);
        return;
    }

    res->state = NGX_PULSE_METER_OPEN;

    request->slot = res;
    request->state = SIM_REQUEST_OPEN;
    request->period = res->record.period;
    request->reserved = res->record.reserved;
    request->opened = node->journal.len;
    request->most = res->record.estimate;

    sim_counts.admitted++;
}


static void
sim_request_ask(sim_world_t *w, uint32_t n)
{
    sim_node_t                 *node;
    sim_request_t              *request;
    sim_message_t              *message;
    ngx_pulse_meter_account_t  *account;

    request = &w->requests[n];
    node = &w->nodes[request->node];

    account = sim_request_account(w, node, request);
    message = NULL;

    if (account && request->tries++ < SIM_TRIES) {
        message = sim_send(w, SIM_ACQUIRE, request->node);
    }

    if (message == NULL) {
        sim_request_refuse(w, n);
        return;
    }

    message->request = n;
    message->user = request->user;
    message->lease = sim_number(account->lease_id);
    ngx_pulse_node_ask(account, request->want, request->min, 1, w->now,
                       &message->question);

    request->state = SIM_REQUEST_ASKING;
}


void
sim_request_answered(sim_world_t *w, uint32_t n)
{
    sim_request_t  *request;

    request = &w->requests[n];

    switch (sim_request_try(w, n)) {

    case NGX_PULSE_NODE_ADMITTED:
        return;

    case NGX_PULSE_NODE_ASK:
        sim_request_ask(w, n);
        return;

    case NGX_PULSE_NODE_ELSEWHERE:

        if (request->waits < 3) {
            request->wake = w->now + sim_waits[request->waits++];
            request->state = SIM_REQUEST_WAITING;
            return;
        }

        /* fall through */

    default:
        sim_request_refuse(w, n);
    }
}


void
sim_request_wake(sim_world_t *w, uint32_t n)
{
    sim_request_ask(w, n);
}


void
sim_request_refuse(sim_world_t *w, uint32_t n)
{
    w->requests[n].state = SIM_REQUEST_REFUSED;
    sim_counts.refused++;
}


/* As ngx_http_pulse_usage_extend(): once, for what the prompt was dearer. */

void
sim_request_extend(sim_world_t *w, uint32_t n, uint64_t amount)
{
    sim_node_t     *node;
    sim_lease_t    *lease;
    sim_request_t  *request;

    request = &w->requests[n];
    node = &w->nodes[request->node];

    if (request->extended || w->now - node->seen > SIM_TTL
        || ngx_pulse_meter_extend(&node->meter, request->slot, amount)
           != NGX_OK)
    {
        return;
    }

    lease = &w->store.leases[sim_number(request->slot->record.lease)];

    if (lease->closed) {
        sim_wrong(w, "extended from a lease that the store has taken");
    }

    request->extended = 1;
    request->reserved += amount;
    sim_counts.extended++;
}


/* Its worker may die between the change of the tables and the record: then
 * the slot is settled, and the keeper finds it. */

void
sim_request_end(sim_world_t *w, uint32_t n, uint64_t amount,
    ngx_uint_t cancel)
{
    ngx_int_t                       rc;
    sim_node_t                     *node;
    sim_request_t                  *request;
    ngx_pulse_journal_record_t      record;
    ngx_pulse_meter_reservation_t  *res;

    request = &w->requests[n];
    node = &w->nodes[request->node];
    res = request->slot;

    if (cancel) {
        ngx_pulse_meter_cancel(&node->meter, res);

    } else {
        ngx_pulse_meter_settle(&node->meter, res, amount);
    }

    record = res->record;

    if (!w->calm && sim_any(w, 64) == 0) {
        sim_request_closed(w, node, &record, 0);
        sim_node_kill_worker(w, request->node, request->worker);
        return;
    }

    rc = sim_append(w, node, &record);

    sim_request_closed(w, node, &record, rc == NGX_OK ? node->journal.len
                                                      : 0);

    if (rc == NGX_OK) {
        ngx_pulse_meter_release(&node->meter, res, record.id);

    } else {
        ngx_pulse_meter_unwritten(&node->meter, res, record.id);
    }
}


void
sim_request_closed(sim_world_t *w, sim_node_t *node,
    const ngx_pulse_journal_record_t *record, size_t at)
{
    sim_request_t  *request;

    request = &w->requests[sim_number(record->id)];

    request->state = (record->type == NGX_PULSE_JOURNAL_CANCEL)
                     ? SIM_REQUEST_CANCELLED : SIM_REQUEST_ENDED;
    request->amount = record->amount;
    request->most = ngx_max(request->most, record->amount);
    request->slot = NULL;

    if (request->closed == 0) {
        request->closed = at;
    }

    if (record->amount > record->reserved) {
        w->store.accounts[request->user][request->period].excused = 1;
    }

    sim_counts.ended++;
}


void
sim_replay(sim_world_t *w, uint32_t node)
{
    sim_file_t     *file;
    sim_message_t  *message;

    file = sim_replay_file(w, node);

    if (file == NULL || file->busy) {
        return;
    }

    if (file->pos < file->journal.len) {
        sim_replay_read(w, file);
        return;
    }

    if (file->nopen) {
        sim_replay_end(w, file);
        return;
    }

    message = sim_send(w, SIM_NODE_CLOSE, node);

    if (message) {
        message->file = file - w->files;
        message->incarnation = file->journal.incarnation;
        file->busy = 1;
    }
}


/* The one that this node reads, or one that nobody does. */

static sim_file_t *
sim_replay_file(sim_world_t *w, uint32_t node)
{
    uint32_t     i;
    sim_file_t  *file, *found;

    for (i = 0, found = NULL; i < SIM_INCARNATIONS; i++) {
        file = &w->files[i];

        if (file->used && file->reader == node) {
            return file;
        }

        if (file->used && file->reader == SIM_NONE
            && (w->calm || file->from <= w->now))
        {
            found = file;
        }
    }

    if (found) {
        found->reader = node;
        found->pos = ngx_min(found->journal.floor.value,
                             found->journal.len);
        found->nopen = 0;
        found->busy = 0;
    }

    return found;
}


static void
sim_replay_read(sim_world_t *w, sim_file_t *file)
{
    u_char                      *p;
    size_t                       used, garbage, left;
    ngx_int_t                    rc;
    sim_message_t               *message;
    ngx_pulse_journal_record_t   record;

    message = sim_send(w, SIM_RECORD, file->reader);

    if (message == NULL) {
        return;
    }

    message->file = file - w->files;
    message->incarnation = file->journal.incarnation;
    message->next = file->pos;
    left = ngx_min(file->journal.len - file->pos, SIM_WINDOW);
    rc = NGX_OK;

    for (p = file->journal.bytes + file->pos;
         left && message->n < SIM_ROWS && rc == NGX_OK;
         p += used, left -= used)
    {
        rc = ngx_pulse_journal_read(p, left, &record, &used, &garbage);
        message->next += used;

        if (rc == NGX_OK) {
            sim_replay_record(file, &record);

            if (record.type == NGX_PULSE_JOURNAL_CLOSE) {
                sim_replay_row(message, &record);
            }
        }
    }

    if (message->n) {
        file->busy = 1;
        return;
    }

    /* nothing more to be had: the rest is the half of a record */

    file->pos = (message->next == file->pos) ? file->journal.len
                                             : message->next;
    message->used = 0;
}


static void
sim_replay_record(sim_file_t *file, ngx_pulse_journal_record_t *record)
{
    ngx_uint_t  i;

    for (i = 0; i < file->nopen; i++) {

        if (ngx_memcmp(file->open[i].id, record->id, 16) == 0) {
            break;
        }
    }

    if (record->type == NGX_PULSE_JOURNAL_OPEN
        || record->type == NGX_PULSE_JOURNAL_PROGRESS)
    {
        file->open[i] = *record;
        file->nopen = ngx_max(file->nopen, i + 1);

    } else if (i < file->nopen) {
        file->open[i] = file->open[--file->nopen];
    }
}


static void
sim_replay_end(sim_world_t *w, sim_file_t *file)
{
    ngx_uint_t                   i;
    sim_message_t               *message;
    ngx_pulse_journal_record_t   record;

    message = sim_send(w, SIM_RECORD, file->reader);

    if (message == NULL) {
        return;
    }

    message->file = file - w->files;
    message->incarnation = file->journal.incarnation;
    message->next = file->journal.len;

    for (i = 0; i < file->nopen && message->n < SIM_ROWS; i++) {
        record = file->open[i];

        ngx_pulse_node_replayed(&record);
        sim_replay_row(message, &record);
    }

    file->nsent = message->n;
    file->busy = 1;
}


static void
sim_replay_row(sim_message_t *message, ngx_pulse_journal_record_t *record)
{
    sim_row_t  *row;

    row = &message->rows[message->n++];

    row->request = sim_number(record->id);
    row->lease = sim_number(record->lease);
    row->user = sim_number(record->user);
    row->period = record->period;
    row->amount = record->amount;
    row->settled = record->settled;
}


void
sim_replay_answer(sim_world_t *w, sim_message_t *message)
{
    sim_file_t  *file;

    file = &w->files[message->file];
    file->busy = 0;

    if (message->type == SIM_NODE_CLOSE) {
        free(file->journal.bytes);
        file->journal.bytes = NULL;
        file->used = 0;
        sim_counts.replays++;
        return;
    }

    if (file->pos < file->journal.len) {
        file->pos = message->next;
        return;
    }

    file->nopen -= file->nsent;
    ngx_memmove(file->open, file->open + file->nsent,
                file->nopen * sizeof(ngx_pulse_journal_record_t));
}
