
#ifndef _NGX_PULSE_JOURNAL_H_INCLUDED_
#define _NGX_PULSE_JOURNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * The records of the journal, pure.  A record is written with one write(2)
 * and holds all that the ledger needs: no record is read with another.
 *
 *     offset  size
 *          0     4  "PUJ2"
 *          4     2  length of the whole, little endian as all numbers
 *          6     1  type
 *          7     1  flags
 *          8     4  CRC-32 (IEEE) of the whole with these four zero
 *         12    48  id of the reservation, of the lease, of the user
 *         60     4  kind; lengths of model, provider, trace id
 *         64    96  period, created, reserved, estimate, settled, amount,
 *                   input, cached, output, reasoning, cache_write, price
 *        160        model, provider, trace id
 *
 * "PUJ1", which lacks the last two numbers, is read too: a node may be
 * upgraded before its journal is drained.
 */

#define NGX_PULSE_JOURNAL_OPEN       1  /* a request was admitted */
#define NGX_PULSE_JOURNAL_PROGRESS   2  /* amount: what was counted so far */
#define NGX_PULSE_JOURNAL_CLOSE      3  /* it ended and cost "amount" */
#define NGX_PULSE_JOURNAL_CANCEL     4  /* it ended and cost nothing */

#define NGX_PULSE_JOURNAL_FIXED      160
#define NGX_PULSE_JOURNAL_MODEL      96
#define NGX_PULSE_JOURNAL_PROVIDER   32
#define NGX_PULSE_JOURNAL_TRACE      128
#define NGX_PULSE_JOURNAL_MAX                                                 \
    (NGX_PULSE_JOURNAL_FIXED + NGX_PULSE_JOURNAL_MODEL                        \
     + NGX_PULSE_JOURNAL_PROVIDER + NGX_PULSE_JOURNAL_TRACE)


/* Ids are the 16 bytes of a UUID. */

typedef struct {
    u_char       id[16];
    u_char       lease[16];
    u_char       user[16];
    int64_t      period;        /* start of the account's, us */
    int64_t      created;       /* of the reservation, unix ms */
    uint64_t     reserved;
    uint64_t     estimate;      /* settled at this if nothing is known */
    uint64_t     settled;       /* part of amount that the lease covers */
    uint64_t     amount;
    uint64_t     input;
    uint64_t     cached;
    uint64_t     output;
    uint64_t     reasoning;
    uint64_t     cache_write;
    int64_t      price;         /* nano-USD, -1: not known */
    u_char       type;
    u_char       kind;
    u_char       estimated;     /* not the provider's own figures */
    u_char       claimed;       /* an idempotency key waits for its end */
    u_char       pending;       /* ... and is not claimed yet: no provider
                                   was asked */
    u_char       model_len;
    u_char       provider_len;
    u_char       trace_len;
    u_char       model[NGX_PULSE_JOURNAL_MODEL];
    u_char       provider[NGX_PULSE_JOURNAL_PROVIDER];
    u_char       trace[NGX_PULSE_JOURNAL_TRACE];
} ngx_pulse_journal_record_t;


/* Where a replay starts, which is before all that it may need. */

typedef struct {
    uint64_t     value;
    uint64_t     next;          /* value, when ... */
    uint64_t     written;       /* ... all of this is on the disk */
} ngx_pulse_journal_floor_t;


/*
 * Takes in that nothing before "needed" is of use to the journal as it is in
 * memory, "written" bytes of it, of which the disk has "synced".  A request
 * needs its first record no more once its last one is written; were the
 * power lost before that is on the disk, it would need it again.  So the
 * floor moves when the disk has caught up.  Returns 1 if it moved.
 */
ngx_uint_t ngx_pulse_journal_needed(ngx_pulse_journal_floor_t *floor,
    uint64_t needed, uint64_t written, uint64_t synced);

/* Writes a record to "p", which has NGX_PULSE_JOURNAL_MAX bytes; returns its
 * length. */
size_t ngx_pulse_journal_write(u_char *p,
    const ngx_pulse_journal_record_t *record);

/*
 * Finds the first whole record in "len" bytes, which may start with, or
 * hold, anything.
 *
 * NGX_OK: "record" is filled, "*used" bytes up to its end are done with.
 * NGX_AGAIN: there is none; "*used" bytes are garbage for certain, what
 * follows them may be the start of one.  "*garbage" is what was skipped.
 */
ngx_int_t ngx_pulse_journal_read(const u_char *p, size_t len,
    ngx_pulse_journal_record_t *record, size_t *used, size_t *garbage);

/* Copies a string into a field of at most "size" bytes, cut at a character;
 * bytes that JSON in the store cannot hold become '?'.  Returns its length. */
u_char ngx_pulse_journal_string(u_char *field, size_t size,
    const ngx_str_t *value);

/* Appends the record as the object that usage_record() of the schema takes. */
void ngx_pulse_journal_json(ngx_pulse_buf_t *b,
    const ngx_pulse_journal_record_t *record);

/* A UUID's 36 characters, and back from valid ones. */
void ngx_pulse_uuid_text(u_char *text, const u_char *id);
void ngx_pulse_uuid_bytes(u_char *id, const u_char *text);


#endif /* _NGX_PULSE_JOURNAL_H_INCLUDED_ */
