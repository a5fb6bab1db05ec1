
/*
 * A node: what nginx's event loop does around the functions that decide.
 * It follows ngx_http_pulse_{keeper,leases,orphans,drain}.c.
 */

#include "sim.h"


#define SIM_WINDOW   900            /* bytes that a drain reads at once */
#define SIM_COMPARE  30000


static void sim_node_merge(sim_node_t *node, sim_message_t *message);
static void sim_node_seen(sim_node_t *node, sim_message_t *message);
static void sim_node_listed(sim_world_t *w, sim_node_t *node,
    sim_message_t *message);
static void sim_node_acquired(sim_world_t *w, sim_node_t *node,
    sim_message_t *message);
static void sim_node_orphans(sim_world_t *w, sim_node_t *node);
static void sim_node_close(sim_world_t *w, sim_node_t *node,
    ngx_pulse_meter_reservation_t *res,
    const ngx_pulse_journal_record_t *record);
static void sim_node_note(sim_world_t *w, sim_node_t *node,
    ngx_pulse_meter_reservation_t *res);
static ngx_pulse_meter_account_t *sim_node_lease(sim_node_t *node,
    sim_row_t *row);
static void sim_node_bury(sim_world_t *w, sim_node_t *node,
    ngx_uint_t power);


void
sim_node_start(sim_world_t *w, uint32_t n)
{
    sim_node_t  *node;

    if (w->nincarnations == SIM_INCARNATIONS) {
        return;
    }

    node = &w->nodes[n];

    ngx_memzero(node, sizeof(sim_node_t));

    (void) ngx_pulse_meter_init(&node->meter, (u_char *) node->tables,
                                SIM_TABLES);

    node->up = 1;
    node->incarnation = w->nincarnations++;
    node->journal.incarnation = node->incarnation;
    node->seen = w->now;
    node->compared = w->now;

    ngx_memset(node->workers, 1, SIM_WORKERS + 1);
}


void
sim_node_kill(sim_world_t *w, uint32_t n, ngx_uint_t power)
{
    uint32_t        i;
    sim_node_t     *node;
    sim_request_t  *request;

    node = &w->nodes[n];

    for (i = 0; i < w->nrequests; i++) {
        request = &w->requests[i];

        if (request->incarnation != node->incarnation) {
            continue;
        }

        if (request->state == SIM_REQUEST_OPEN) {
            request->state = SIM_REQUEST_LOST;

            /* what the keeper noted last is charged, else the least */

            request->amount = request->slot->noted
                              ? request->slot->noted
                              : request->slot->record.estimate;
            request->slot = NULL;

        } else if (request->state == SIM_REQUEST_ASKING
                   || request->state == SIM_REQUEST_WAITING)
        {
            request->state = SIM_REQUEST_REFUSED;
        }
    }

    for (i = 0; i < SIM_MESSAGES; i++) {

        if (w->messages[i].used && w->messages[i].node == n) {
            sim_node_give_up(w, &w->messages[i]);
        }
    }

    /* replays that it had begun are begun again by others */

    for (i = 0; i < SIM_INCARNATIONS; i++) {

        if (w->files[i].used && w->files[i].reader == n) {
            w->files[i].reader = SIM_NONE;
            w->files[i].busy = 0;
        }
    }

    sim_node_bury(w, node, power);
    node->up = 0;
}


/* With the power what the disk did not have is gone, from any byte on. */

static void
sim_node_bury(sim_world_t *w, sim_node_t *node, ngx_uint_t power)
{
    size_t          cut;
    uint32_t        i;
    sim_file_t     *file;
    sim_request_t  *request;

    for (i = 0; i < SIM_INCARNATIONS - 1 && w->files[i].used; i++) {
        /* void */
    }

    file = &w->files[i];

    ngx_memzero(file, sizeof(sim_file_t));

    file->used = 1;
    file->journal = node->journal;
    file->reader = SIM_NONE;
    file->from = w->now + (sim_any(w, 4) ? 0 : sim_any(w, 4 * SIM_SWEEP));

    sim_counts.crashes++;
    cut = node->journal.len;

    if (power && cut > node->journal.synced) {
        cut = node->journal.synced + sim_any(w, cut - node->journal.synced);
        file->journal.len = cut;
        sim_counts.cuts++;
    }

    for (i = 0; i < w->nrequests; i++) {
        request = &w->requests[i];

        if (request->incarnation != node->incarnation) {
            continue;
        }

        request->cut = request->closed == 0 || request->closed > cut;
        request->unknown = request->opened > cut;

        if (request->state == SIM_REQUEST_LOST) {
            request->cut = (cut < node->journal.len);
        }

        /* what was left over of it may have been spent since */

        if (request->unknown || request->cut) {
            w->store.accounts[request->user][request->period].excused = 1;
        }
    }
}


/* Requests that wait have no slot: they go with their worker. */

void
sim_node_kill_worker(sim_world_t *w, uint32_t n, uint32_t worker)
{
    uint32_t        i;
    sim_node_t     *node;
    sim_request_t  *request;

    node = &w->nodes[n];
    node->workers[worker] = 0;
    sim_counts.kills++;

    /* the one that holds the lock leaves its mark: the next one repairs */

    ngx_pulse_meter_repair(&node->meter);

    for (i = 0; i < w->nrequests; i++) {
        request = &w->requests[i];

        if (request->incarnation == node->incarnation
            && request->worker == worker
            && (request->state == SIM_REQUEST_ASKING
                || request->state == SIM_REQUEST_WAITING))
        {
            request->state = SIM_REQUEST_REFUSED;
        }
    }
}


/* Nobody waits for the answer any more: it was lost, or is late. */

void
sim_node_give_up(sim_world_t *w, sim_message_t *message)
{
    sim_node_t  *node;

    if (message->abandoned) {
        return;
    }

    message->abandoned = 1;
    sim_counts.lost++;

    if (message->file != SIM_NONE) {
        w->files[message->file].busy = 0;
        return;
    }

    node = &w->nodes[message->node];

    if (!node->up || node->incarnation != message->incarnation) {
        return;
    }

    switch (message->type) {

    case SIM_ACQUIRE:
        if (w->requests[message->request].state == SIM_REQUEST_ASKING) {
            sim_request_refuse(w, message->request);
        }

        break;

    case SIM_RETURN:
        node->returning = 0;
        break;

    case SIM_RECORD:
        node->draining = 0;
        break;

    case SIM_SEEN:
        node->seeing = 0;
        break;

    default:
        node->listing = 0;
    }
}


void
sim_node_answer(sim_world_t *w, sim_message_t *message)
{
    ngx_uint_t                  i;
    sim_node_t                 *node;
    ngx_pulse_meter_account_t  *account;

    if (message->file != SIM_NONE) {
        sim_replay_answer(w, message);
        return;
    }

    node = &w->nodes[message->node];

    switch (message->type) {

    case SIM_ACQUIRE:
        sim_node_acquired(w, node, message);
        break;

    case SIM_RETURN:
        node->returning = 0;
        sim_node_merge(node, message);

        for (i = 0; i < message->n; i++) {
            account = sim_node_lease(node, &message->rows[i]);

            if (account && message->rows[i].closed) {
                ngx_pulse_node_closed(&node->meter, account);
            }
        }

        break;

    case SIM_RECORD:
        node->draining = 0;
        sim_node_merge(node, message);
        node->journal.flushed = ngx_max(node->journal.flushed,
                                        message->next);
        break;

    case SIM_SEEN:
        node->seeing = 0;
        sim_node_seen(node, message);
        break;

    case SIM_LIST:
        node->listing = 0;
        sim_node_merge(node, message);
        sim_node_listed(w, node, message);
        break;

    default:
        break;
    }
}


static void
sim_node_merge(sim_node_t *node, sim_message_t *message)
{
    ngx_uint_t                  i;
    sim_row_t                  *row;
    ngx_pulse_meter_account_t  *account;

    for (i = 0; i < message->n; i++) {
        row = &message->rows[i];
        account = sim_node_lease(node, row);

        if (account) {
            ngx_pulse_meter_merge(account, &row->totals, row->used,
                                  row->limit, row->closed);
        }
    }
}


static void
sim_node_seen(sim_node_t *node, sim_message_t *message)
{
    uint32_t            i, k;
    u_char              id[16];
    ngx_pulse_meter_t  *m;

    m = &node->meter;

    if (message->lost > node->lost) {
        node->lost = message->lost;

        for (i = 1; i <= m->accounts_top; i++) {
            ngx_pulse_node_given_up(&m->accounts[i]);
        }
    }

    for (k = 0; k < message->n; k++) {
        sim_id(id, message->rows[k].lease);

        for (i = 1; i <= m->accounts_top; i++) {

            if (m->accounts[i].present
                && ngx_memcmp(m->accounts[i].lease_id, id, 16) == 0)
            {
                m->accounts[i].recalled = 1;
            }
        }
    }

    node->seen = ngx_max(node->seen, message->sent);
}


/* Leases that the store has and the node does not know are closed. */

static void
sim_node_listed(sim_world_t *w, sim_node_t *node, sim_message_t *message)
{
    ngx_uint_t      i;
    sim_message_t  *reply;

    reply = sim_send(w, SIM_CLOSE, message->node);

    if (reply == NULL) {
        return;
    }

    for (i = 0; i < message->n; i++) {

        if (!message->rows[i].closed
            && sim_node_lease(node, &message->rows[i]) == NULL)
        {
            reply->rows[reply->n++] = message->rows[i];
        }
    }
}


static void
sim_node_acquired(sim_world_t *w, sim_node_t *node, sim_message_t *message)
{
    u_char                      user[16], lease[16];
    sim_request_t              *request;
    ngx_pulse_meter_account_t  *account;

    request = &w->requests[message->request];

    if (!node->workers[request->worker]) {
        return;
    }

    sim_id(user, message->user);
    sim_id(lease, message->lease);

    account = ngx_pulse_meter_lease(&node->meter, user, lease);

    if (account && message->refused) {
        account->retired = 1;

    } else if (account) {
        ngx_pulse_node_granted(account, &message->grant,
                               message->question.need, w->now,
                               (int64_t) w->now + node->skew);
    }

    if (request->state == SIM_REQUEST_ASKING) {
        sim_request_answered(w, message->request);
    }
}


void
sim_node_drain(sim_world_t *w, uint32_t n)
{
    u_char                      *p;
    size_t                       used, garbage, left;
    sim_row_t                   *row;
    sim_node_t                  *node;
    sim_journal_t               *journal;
    sim_message_t               *message;
    ngx_pulse_journal_record_t   record;

    node = &w->nodes[n];
    journal = &node->journal;

    if (node->draining || journal->flushed == journal->len) {
        return;
    }

    message = sim_send(w, SIM_RECORD, n);

    if (message == NULL) {
        return;
    }

    message->next = journal->flushed;

    left = SIM_WINDOW + sim_any(w, SIM_WINDOW);
    left = ngx_min(left, journal->len - journal->flushed);

    for (p = journal->bytes + journal->flushed;
         left && message->n < SIM_ROWS;
         p += used, left -= used)
    {
        if (ngx_pulse_journal_read(p, left, &record, &used, &garbage)
            != NGX_OK)
        {
            message->next += used;
            break;
        }

        message->next += used;

        if (record.type == NGX_PULSE_JOURNAL_CLOSE) {
            row = &message->rows[message->n++];
            row->request = sim_number(record.id);
            row->lease = sim_number(record.lease);
            row->user = sim_number(record.user);
            row->period = record.period;
            row->amount = record.amount;
            row->settled = record.settled;
        }
    }

    if (message->n == 0) {
        journal->flushed = message->next;
        message->used = 0;
        return;
    }

    node->draining = 1;
}


void
sim_node_return(sim_world_t *w, uint32_t n)
{
    uint32_t                    i;
    sim_row_t                  *row;
    sim_node_t                 *node;
    sim_message_t              *message;
    ngx_pulse_meter_t          *m;
    ngx_pulse_node_notice_e     notice;
    ngx_pulse_meter_account_t  *account;

    node = &w->nodes[n];
    m = &node->meter;

    if (node->returning || m->accounts_top == 0) {
        return;
    }

    message = sim_send(w, SIM_RETURN, n);

    for (i = 0; message && i < m->accounts_top && message->n < SIM_ROWS; i++)
    {
        node->cursor = node->cursor % m->accounts_top + 1;
        account = &m->accounts[node->cursor];

        if (!account->present) {
            continue;
        }

        notice = ngx_pulse_node_return(m, account, 0, SIM_IDLE, w->now);

        if (notice != NGX_PULSE_NODE_QUIET) {
            row = &message->rows[message->n++];
            row->lease = sim_number(account->lease_id);
            row->user = sim_number(account->user);
            row->totals.returned = account->lease.returned;
            row->closed = (notice == NGX_PULSE_NODE_CLOSE);
        }
    }

    if (message) {
        message->used = (message->n != 0);
        node->returning = message->used;
    }
}


void
sim_node_see(sim_world_t *w, uint32_t n)
{
    sim_node_t  *node;

    node = &w->nodes[n];

    if (!node->seeing && sim_send(w, SIM_SEEN, n)) {
        node->seeing = 1;
    }
}


void
sim_node_compare(sim_world_t *w, uint32_t n)
{
    sim_node_t  *node;

    node = &w->nodes[n];

    if (!node->listing
        && (w->calm || node->compared + SIM_COMPARE < w->now)
        && sim_send(w, SIM_LIST, n))
    {
        node->compared = w->now;
        node->listing = 1;
    }
}


void
sim_node_survey(sim_world_t *w, uint32_t n)
{
    uint32_t                        i;
    uint64_t                        floor;
    sim_node_t                     *node;
    ngx_pulse_meter_reservation_t  *res;
    ngx_pulse_journal_record_t      record;

    node = &w->nodes[n];
    floor = node->journal.flushed;

    sim_node_orphans(w, node);

    for (i = 1; i <= node->meter.reservations_top; i++) {
        res = &node->meter.reservations[i];

        switch (res->state) {

        case NGX_PULSE_METER_UNWRITTEN:
            record = res->record;
            sim_node_close(w, node, res, &record);
            break;

        case NGX_PULSE_METER_OPEN:
            sim_node_note(w, node, res);
            break;
        }

        if (res->state != NGX_PULSE_METER_FREE) {
            floor = ngx_min(floor, res->floor);
        }
    }

    (void) ngx_pulse_journal_needed(&node->journal.floor, floor,
                                    node->journal.len, node->journal.synced);
}


static void
sim_node_orphans(sim_world_t *w, sim_node_t *node)
{
    uint32_t                        i, k;
    uint64_t                        amount;
    ngx_uint_t                      open;
    ngx_pulse_journal_record_t      record;
    ngx_pulse_meter_reservation_t  *res;

    for (k = 1; k <= SIM_WORKERS; k++) {

        if (node->workers[k]) {
            continue;
        }

        for (i = 1; i <= node->meter.reservations_top; i++) {
            res = &node->meter.reservations[i];

            if (res->worker == k && res->state != NGX_PULSE_METER_FREE) {
                amount = res->progress ? res->progress
                                       : res->record.estimate;

                open = ngx_pulse_node_orphan(&node->meter, res);
                record = res->record;

                if (open && record.amount != amount) {
                    sim_wrong(w, "an orphan is charged what nobody counted");
                }

                sim_node_close(w, node, res, &record);
            }
        }

        node->workers[k] = 1;
    }
}


/* ngx_http_pulse_journal_close() */

static void
sim_node_close(sim_world_t *w, sim_node_t *node,
    ngx_pulse_meter_reservation_t *res,
    const ngx_pulse_journal_record_t *record)
{
    if (sim_append(w, node, record) == NGX_OK) {
        sim_request_closed(w, node, record, node->journal.len);
        ngx_pulse_meter_release(&node->meter, res, record->id);

    } else {
        sim_request_closed(w, node, record, 0);
        ngx_pulse_meter_unwritten(&node->meter, res, record->id);
    }
}


static void
sim_node_note(sim_world_t *w, sim_node_t *node,
    ngx_pulse_meter_reservation_t *res)
{
    ngx_pulse_journal_record_t  record;

    if (res->progress == res->noted) {
        return;
    }

    record = res->record;
    record.type = NGX_PULSE_JOURNAL_PROGRESS;
    record.amount = res->progress;

    if (sim_append(w, node, &record) == NGX_OK) {
        res->noted = record.amount;
    }
}


void
sim_node_late(sim_world_t *w, uint32_t n)
{
    sim_node_t                     *node;
    sim_request_t                  *request;
    ngx_pulse_journal_record_t      record;
    ngx_pulse_meter_reservation_t  *res;

    node = &w->nodes[n];

    if (w->nrequests == 0 || node->meter.reservations_top == 0) {
        return;
    }

    request = &w->requests[sim_any(w, w->nrequests)];

    if (request->incarnation != node->incarnation
        || request->state != SIM_REQUEST_ENDED || request->closed == 0)
    {
        return;
    }

    /* it had copied the record of a slot that has another owner by now */

    res = &node->meter.reservations[1 + sim_any(w,
                                            node->meter.reservations_top)];

    ngx_memzero(&record, sizeof(ngx_pulse_journal_record_t));
    sim_id(record.id, request - w->requests);

    ngx_pulse_meter_release(&node->meter, res, record.id);
}


static ngx_pulse_meter_account_t *
sim_node_lease(sim_node_t *node, sim_row_t *row)
{
    u_char  user[16], lease[16];

    sim_id(user, row->user);
    sim_id(lease, row->lease);

    return ngx_pulse_meter_lease(&node->meter, user, lease);
}
