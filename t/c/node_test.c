
/* What a node decides, where the simulator found it wrong once. */

#include "unit.h"
#include "ngx_pulse_node.h"


static void test_given_up(void);
static void test_period(void);
static void test_floor(void);
static void test_orphan(void);
static void test_elsewhere(void);
static void test_replayed(void);


int
main(void)
{
    test_given_up();
    test_period();
    test_floor();
    test_orphan();
    test_elsewhere();
    test_replayed();

    return unit_done();
}


/* the first grant of a lease that was taken may be still on the way */

static void
test_given_up(void)
{
    ngx_pulse_meter_account_t  a;

    memset(&a, 0, sizeof(a));

    ngx_pulse_node_given_up(&a);
    check_int(a.retired, 0);

    a.present = 1;
    ngx_pulse_node_given_up(&a);
    check_int(a.retired, 1);
}


/* an empty answer of the period before comes after the first of this one */

static void
test_period(void)
{
    ngx_pulse_node_grant_t     grant;
    ngx_pulse_meter_account_t  a;

    memset(&a, 0, sizeof(a));
    memset(&grant, 0, sizeof(grant));

    grant.taken = 60;
    grant.totals.granted = 60;
    grant.limit = 1000;
    grant.period = 2000000;
    grant.period_end = 3000000;

    ngx_pulse_node_granted(&a, &grant, 60, 100, 2100);
    check_int(a.period, 2000000);
    check_int(a.over, 3000000);

    memset(&grant, 0, sizeof(grant));
    grant.period = 1000000;
    grant.period_end = 2000000;

    ngx_pulse_node_granted(&a, &grant, 10, 110, 2110);
    check_int(a.period, 2000000);
    check_int(a.lease.granted, 60);
    check_int(a.verdict, NGX_PULSE_METER_UNKNOWN);

    /* one of this period that falls short is believed for a second */

    grant.period = 2000000;
    grant.period_end = 3000000;
    grant.limit = 1000;
    grant.totals.granted = 60;

    ngx_pulse_node_granted(&a, &grant, 10, 120, 2120);
    check_int(a.verdict, NGX_PULSE_METER_EXHAUSTED);
    check_int(a.until, 1120);
}


/* the power fails before the last record of a request is on the disk: its
 * first one must be found */

static void
test_floor(void)
{
    ngx_pulse_journal_floor_t  floor;

    memset(&floor, 0, sizeof(floor));

    check_int(ngx_pulse_journal_needed(&floor, 500, 900, 400), 0);
    check_int(floor.value, 0);

    check_int(ngx_pulse_journal_needed(&floor, 600, 950, 899), 0);
    check_int(floor.value, 0);

    check_int(ngx_pulse_journal_needed(&floor, 700, 990, 900), 1);
    check_int(floor.value, 500);

    check_int(ngx_pulse_journal_needed(&floor, 700, 990, 989), 0);
    check_int(ngx_pulse_journal_needed(&floor, 700, 990, 990), 1);
    check_int(floor.value, 700);
    check_int(ngx_pulse_journal_needed(&floor, 700, 990, 990), 0);
}


static void
test_orphan(void)
{
    uint64_t                        tables[8192];
    u_char                          user[16], id[16];
    ngx_pulse_meter_t               m;
    ngx_pulse_meter_account_t      *a;
    ngx_pulse_meter_reservation_t  *r;

    memset(&m, 0, sizeof(m));
    memset(user, 1, 16);
    memset(id, 2, 16);

    check_int(ngx_pulse_meter_init(&m, (u_char *) tables, sizeof(tables)),
              NGX_OK);

    a = ngx_pulse_node_account(&m, user, 0, id, 0, 0);
    ngx_pulse_lease_granted(&a->lease, 100);

    check_int(ngx_pulse_node_admit(&m, a, 50, 7, id, 1, 0, &r),
              NGX_PULSE_NODE_ADMITTED);

    r->state = NGX_PULSE_METER_OPEN;
    check_int(ngx_pulse_node_orphan(&m, r), 1);
    check_int(r->record.amount, 7);
    check_int(r->record.estimated, 1);
    check_int(ngx_pulse_node_orphan(&m, r), 0);
    ngx_pulse_meter_release(&m, r, id);

    check_int(ngx_pulse_node_admit(&m, a, 50, 7, id, 1, 0, &r),
              NGX_PULSE_NODE_ADMITTED);

    r->state = NGX_PULSE_METER_OPEN;
    r->progress = 31;
    check_int(ngx_pulse_node_orphan(&m, r), 1);
    check_int(r->record.amount, 31);
    ngx_pulse_meter_release(&m, r, id);

    /* one that the journal does not have never was */

    check_int(ngx_pulse_node_admit(&m, a, 50, 7, id, 1, 0, &r),
              NGX_PULSE_NODE_ADMITTED);
    check_int(ngx_pulse_node_orphan(&m, r), 1);
    check_int(r->record.type, NGX_PULSE_JOURNAL_CANCEL);

    ngx_pulse_meter_release(&m, r, id);

    /* nor did one ask a provider whose key is not claimed */

    check_int(ngx_pulse_node_admit(&m, a, 50, 7, id, 1, 0, &r),
              NGX_PULSE_NODE_ADMITTED);

    r->state = NGX_PULSE_METER_OPEN;
    r->record.claimed = 1;
    r->record.pending = 1;
    check_int(ngx_pulse_node_orphan(&m, r), 1);
    check_int(r->record.type, NGX_PULSE_JOURNAL_CANCEL);
    check_int(r->record.claimed, 1);

    check_int(ngx_pulse_lease_free(&a->lease), 100 - 7 - 31);
}


/* what the limit has room for may be with others: it is worth to wait for */

static void
test_elsewhere(void)
{
    uint64_t                        tables[8192];
    u_char                          user[16], id[16];
    ngx_pulse_meter_t               m;
    ngx_pulse_node_grant_t          grant;
    ngx_pulse_node_question_t       question;
    ngx_pulse_meter_account_t      *a;
    ngx_pulse_meter_reservation_t  *r;

    memset(&m, 0, sizeof(m));
    memset(&grant, 0, sizeof(grant));
    memset(user, 1, 16);
    memset(id, 2, 16);

    check_int(ngx_pulse_meter_init(&m, (u_char *) tables, sizeof(tables)),
              NGX_OK);

    a = ngx_pulse_node_account(&m, user, 0, id, 0, 0);

    check_int(ngx_pulse_node_admit(&m, a, 50, 40, id, 1, 0, &r),
              NGX_PULSE_NODE_ASK);

    ngx_pulse_node_ask(a, 50, 40, 0, 0, &question);
    check_int(question.need, 50);
    check_int(question.least, 40);

    grant.taken = 30;
    grant.totals.granted = 30;
    grant.used = 20;
    grant.limit = 100;
    grant.period_end = 1000000;
    ngx_pulse_node_granted(a, &grant, 50, 0, 0);

    check_int(ngx_pulse_node_admit(&m, a, 50, 40, id, 1, 0, &r),
              NGX_PULSE_NODE_ELSEWHERE);

    /* with what is free here it lacks less */

    ngx_pulse_node_ask(a, 50, 40, 0, 0, &question);
    check_int(question.need, 20);
    check_int(question.least, 10);

    /* the limit has no room for it, wherever the rest is */

    check_int(ngx_pulse_node_admit(&m, a, 90, 81, id, 1, 0, &r),
              NGX_PULSE_NODE_EXHAUSTED);
    check_int(ngx_pulse_node_admit(&m, a, 90, 80, id, 1, 0, &r),
              NGX_PULSE_NODE_ELSEWHERE);

    /* nor beside what is reserved */

    check_int(ngx_pulse_node_admit(&m, a, 30, 30, id, 1, 0, &r),
              NGX_PULSE_NODE_ADMITTED);
    check_int(ngx_pulse_node_admit(&m, a, 80, 51, id, 1, 0, &r),
              NGX_PULSE_NODE_EXHAUSTED);
    check_int(ngx_pulse_node_admit(&m, a, 80, 50, id, 1, 0, &r),
              NGX_PULSE_NODE_ELSEWHERE);

    ngx_pulse_node_ask(a, 50, 40, 0, 0, &question);
    check_int(question.least, 40);
}


static void
test_replayed(void)
{
    ngx_pulse_journal_record_t  record;

    memset(&record, 0, sizeof(record));

    record.type = NGX_PULSE_JOURNAL_OPEN;
    record.reserved = 50;
    record.estimate = 7;

    ngx_pulse_node_replayed(&record);
    check_int(record.type, NGX_PULSE_JOURNAL_CLOSE);
    check_int(record.amount, 7);
    check_int(record.settled, 7);
    check_int(record.estimated, 1);

    record.type = NGX_PULSE_JOURNAL_PROGRESS;
    record.amount = 60;

    ngx_pulse_node_replayed(&record);
    check_int(record.amount, 60);
    check_int(record.settled, 50);

    record.type = NGX_PULSE_JOURNAL_OPEN;
    record.claimed = 1;
    record.pending = 1;

    ngx_pulse_node_replayed(&record);
    check_int(record.type, NGX_PULSE_JOURNAL_CANCEL);
    check_int(record.amount, 0);
    check_int(record.settled, 0);
}
