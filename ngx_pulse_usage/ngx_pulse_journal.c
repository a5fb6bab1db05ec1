
#include "ngx_pulse_journal.h"
#include "ngx_pulse_json.h"


#define NGX_PULSE_JOURNAL_MAGIC      "PUJ2"
#define NGX_PULSE_JOURNAL_FIRST      '1'    /* version without prices */
#define NGX_PULSE_JOURNAL_SHORTER    16

/* of JSON, with room to spare: three ids, thirteen numbers and all names */

#define NGX_PULSE_JOURNAL_NUMBERS    1024

#define NGX_PULSE_JOURNAL_ESTIMATED  0x01
#define NGX_PULSE_JOURNAL_CLAIMED    0x02
#define NGX_PULSE_JOURNAL_PENDING    0x04


static uint32_t ngx_pulse_journal_crc(const u_char *p, size_t len);
static void ngx_pulse_journal_crc_init(void);
static uint32_t ngx_pulse_journal_crc_update(uint32_t crc, const u_char *p,
    size_t len);
static ngx_int_t ngx_pulse_journal_parse(const u_char *p, size_t len,
    ngx_pulse_journal_record_t *record);
static ngx_inline u_char *ngx_pulse_journal_put(u_char *p, uint64_t n,
    ngx_uint_t size);
static ngx_inline uint64_t ngx_pulse_journal_get(const u_char *p,
    ngx_uint_t size);
static ngx_inline u_char ngx_pulse_uuid_digit(u_char ch);
static u_char *ngx_pulse_journal_member(u_char *p, const char *name,
    int64_t n);
static u_char *ngx_pulse_journal_id(u_char *p, const char *name,
    const u_char *id);
static void ngx_pulse_journal_text(ngx_pulse_buf_t *b, const char *name,
    const u_char *p, size_t len);


static uint32_t  ngx_pulse_journal_table[8][256];


ngx_uint_t
ngx_pulse_journal_needed(ngx_pulse_journal_floor_t *floor, uint64_t needed,
    uint64_t written, uint64_t synced)
{
    uint64_t  before;

    if (synced < floor->written) {
        return 0;
    }

    before = floor->value;

    floor->value = ngx_max(floor->value, floor->next);
    floor->next = needed;
    floor->written = written;

    return floor->value > before;
}


size_t
ngx_pulse_journal_write(u_char *p, const ngx_pulse_journal_record_t *record)
{
    u_char  *last;
    size_t   len;

    len = NGX_PULSE_JOURNAL_FIXED + record->model_len + record->provider_len
          + record->trace_len;

    last = ngx_cpymem(p, NGX_PULSE_JOURNAL_MAGIC, 4);
    last = ngx_pulse_journal_put(last, len, 2);
    *last++ = record->type;
    *last++ = (record->estimated ? NGX_PULSE_JOURNAL_ESTIMATED : 0)
              | (record->claimed ? NGX_PULSE_JOURNAL_CLAIMED : 0)
              | (record->pending ? NGX_PULSE_JOURNAL_PENDING : 0);
    last = ngx_pulse_journal_put(last, 0, 4);

    last = ngx_cpymem(last, record->id, 16);
    last = ngx_cpymem(last, record->lease, 16);
    last = ngx_cpymem(last, record->user, 16);

    *last++ = record->kind;
    *last++ = record->model_len;
    *last++ = record->provider_len;
    *last++ = record->trace_len;

    last = ngx_pulse_journal_put(last, record->period, 8);
    last = ngx_pulse_journal_put(last, record->created, 8);
    last = ngx_pulse_journal_put(last, record->reserved, 8);
    last = ngx_pulse_journal_put(last, record->estimate, 8);
    last = ngx_pulse_journal_put(last, record->settled, 8);
    last = ngx_pulse_journal_put(last, record->amount, 8);
    last = ngx_pulse_journal_put(last, record->input, 8);
    last = ngx_pulse_journal_put(last, record->cached, 8);
    last = ngx_pulse_journal_put(last, record->output, 8);
    last = ngx_pulse_journal_put(last, record->reasoning, 8);
    last = ngx_pulse_journal_put(last, record->cache_write, 8);
    last = ngx_pulse_journal_put(last, record->price, 8);

    last = ngx_cpymem(last, record->model, record->model_len);
    last = ngx_cpymem(last, record->provider, record->provider_len);
    (void) ngx_cpymem(last, record->trace, record->trace_len);

    (void) ngx_pulse_journal_put(p + 8, ngx_pulse_journal_crc(p, len), 4);

    return len;
}


ngx_int_t
ngx_pulse_journal_read(const u_char *p, size_t len,
    ngx_pulse_journal_record_t *record, size_t *used, size_t *garbage)
{
    size_t     i, hold;
    ngx_int_t  rc;

    /*
     * A start without its end may be a record still being written, but only
     * if no whole one follows: "hold" is kept, and the search goes on.
     */

    hold = len;

    for (i = 0; i < len; i++) {

        if (p[i] != (u_char) NGX_PULSE_JOURNAL_MAGIC[0]) {
            continue;
        }

        rc = ngx_pulse_journal_parse(p + i, len - i, record);

        if (rc > 0) {
            *used = i + rc;
            *garbage = i;
            return NGX_OK;
        }

        if (rc == NGX_AGAIN && hold == len) {
            hold = i;
        }
    }

    *used = hold;
    *garbage = hold;

    return NGX_AGAIN;
}


/* The length of the record at "p"; NGX_DECLINED if there is none, NGX_AGAIN
 * if there are too few bytes to know. */

static ngx_int_t
ngx_pulse_journal_parse(const u_char *p, size_t len,
    ngx_pulse_journal_record_t *record)
{
    size_t  size, fixed;

    fixed = NGX_PULSE_JOURNAL_FIXED;

    if (len > 3 && p[3] == NGX_PULSE_JOURNAL_FIRST) {
        fixed -= NGX_PULSE_JOURNAL_SHORTER;
    }

    if (ngx_memcmp(p, NGX_PULSE_JOURNAL_MAGIC, ngx_min(len, 3)) != 0
        || (len > 3 && p[3] != (u_char) NGX_PULSE_JOURNAL_MAGIC[3]
            && p[3] != NGX_PULSE_JOURNAL_FIRST))
    {
        return NGX_DECLINED;
    }

    if (len < fixed) {
        return NGX_AGAIN;
    }

    size = ngx_pulse_journal_get(p + 4, 2);

    if (p[60] > 2
        || p[61] > NGX_PULSE_JOURNAL_MODEL
        || p[62] > NGX_PULSE_JOURNAL_PROVIDER
        || p[63] > NGX_PULSE_JOURNAL_TRACE
        || size != fixed + p[61] + p[62] + p[63]
        || p[6] < NGX_PULSE_JOURNAL_OPEN
        || p[6] > NGX_PULSE_JOURNAL_CANCEL)
    {
        return NGX_DECLINED;
    }

    if (len < size) {
        return NGX_AGAIN;
    }

    if (ngx_pulse_journal_get(p + 8, 4) != ngx_pulse_journal_crc(p, size)) {
        return NGX_DECLINED;
    }

    record->type = p[6];
    record->estimated = (p[7] & NGX_PULSE_JOURNAL_ESTIMATED) ? 1 : 0;
    record->claimed = (p[7] & NGX_PULSE_JOURNAL_CLAIMED) ? 1 : 0;
    record->pending = (p[7] & NGX_PULSE_JOURNAL_PENDING) ? 1 : 0;
    record->kind = p[60];
    record->model_len = p[61];
    record->provider_len = p[62];
    record->trace_len = p[63];

    ngx_memcpy(record->id, p + 12, 16);
    ngx_memcpy(record->lease, p + 28, 16);
    ngx_memcpy(record->user, p + 44, 16);

    record->period = (int64_t) ngx_pulse_journal_get(p + 64, 8);
    record->created = (int64_t) ngx_pulse_journal_get(p + 72, 8);
    record->reserved = ngx_pulse_journal_get(p + 80, 8);
    record->estimate = ngx_pulse_journal_get(p + 88, 8);
    record->settled = ngx_pulse_journal_get(p + 96, 8);
    record->amount = ngx_pulse_journal_get(p + 104, 8);
    record->input = ngx_pulse_journal_get(p + 112, 8);
    record->cached = ngx_pulse_journal_get(p + 120, 8);
    record->output = ngx_pulse_journal_get(p + 128, 8);
    record->reasoning = ngx_pulse_journal_get(p + 136, 8);
    record->cache_write = 0;
    record->price = -1;

    if (fixed == NGX_PULSE_JOURNAL_FIXED) {
        record->cache_write = ngx_pulse_journal_get(p + 144, 8);
        record->price = (int64_t) ngx_pulse_journal_get(p + 152, 8);
    }

    p += fixed;
    ngx_memcpy(record->model, p, record->model_len);

    p += record->model_len;
    ngx_memcpy(record->provider, p, record->provider_len);

    p += record->provider_len;
    ngx_memcpy(record->trace, p, record->trace_len);

    return size;
}


u_char
ngx_pulse_journal_string(u_char *field, size_t size, const ngx_str_t *value)
{
    size_t  i, len;

    len = value->len;

    if (len > size) {
        len = size;

        while (len && (value->data[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    for (i = 0; i < len; i++) {
        field[i] = (value->data[i] < 0x20 || value->data[i] == 0x7f)
                   ? '?' : value->data[i];
    }

    if (len && ngx_pulse_utf8_check(field, len, NULL) != NGX_OK) {
        for (i = 0; i < len; i++) {
            if (field[i] & 0x80) {
                field[i] = '?';
            }
        }
    }

    return (u_char) len;
}


void
ngx_pulse_journal_json(ngx_pulse_buf_t *b,
    const ngx_pulse_journal_record_t *record)
{
    u_char  *p;

    p = ngx_pulse_buf_reserve(b, NGX_PULSE_JOURNAL_NUMBERS);
    if (p == NULL) {
        return;
    }

    *p++ = '{';
    p = ngx_pulse_journal_id(p, "id", record->id);
    p = ngx_pulse_journal_id(p, "lease_id", record->lease);
    p = ngx_pulse_journal_id(p, "user_id", record->user);
    p = ngx_pulse_journal_member(p, "kind", record->kind);
    p = ngx_pulse_journal_member(p, "period", record->period);
    p = ngx_pulse_journal_member(p, "created", record->created);
    p = ngx_pulse_journal_member(p, "reserved", record->reserved);
    p = ngx_pulse_journal_member(p, "settled", record->settled);
    p = ngx_pulse_journal_member(p, "amount", record->amount);
    p = ngx_pulse_journal_member(p, "input", record->input);
    p = ngx_pulse_journal_member(p, "cached", record->cached);
    p = ngx_pulse_journal_member(p, "output", record->output);
    p = ngx_pulse_journal_member(p, "reasoning", record->reasoning);
    p = ngx_pulse_journal_member(p, "cache_write", record->cache_write);

    if (record->price >= 0) {
        p = ngx_pulse_journal_member(p, "price", record->price);
    }

    b->len = p - b->data;

    if (record->type == NGX_PULSE_JOURNAL_CANCEL) {
        ngx_pulse_buf_literal(b, "\"canceled\":true,");
    }

    if (record->claimed) {
        ngx_pulse_buf_literal(b, "\"claimed\":true,");
    }

    ngx_pulse_journal_text(b, "model", record->model, record->model_len);
    ngx_pulse_journal_text(b, "provider", record->provider,
                           record->provider_len);
    ngx_pulse_journal_text(b, "trace_id", record->trace, record->trace_len);

    if (record->estimated) {
        ngx_pulse_buf_literal(b, "\"estimated\":true}");

    } else {
        ngx_pulse_buf_literal(b, "\"estimated\":false}");
    }
}


static u_char *
ngx_pulse_journal_member(u_char *p, const char *name, int64_t n)
{
    u_char    *digit, text[NGX_INT64_LEN];
    uint64_t   u;

    *p++ = '"';
    p = ngx_cpymem(p, name, ngx_strlen(name));
    *p++ = '"';
    *p++ = ':';

    u = (n < 0) ? - (uint64_t) n : (uint64_t) n;

    digit = text + sizeof(text);

    do {
        *--digit = (u_char) (u % 10 + '0');
        u /= 10;
    } while (u);

    if (n < 0) {
        *--digit = '-';
    }

    p = ngx_cpymem(p, digit, text + sizeof(text) - digit);
    *p++ = ',';

    return p;
}


static u_char *
ngx_pulse_journal_id(u_char *p, const char *name, const u_char *id)
{
    *p++ = '"';
    p = ngx_cpymem(p, name, ngx_strlen(name));
    *p++ = '"';
    *p++ = ':';
    *p++ = '"';

    ngx_pulse_uuid_text(p, id);
    p += 36;

    *p++ = '"';
    *p++ = ',';

    return p;
}


/* an empty string is NULL in the ledger */

static void
ngx_pulse_journal_text(ngx_pulse_buf_t *b, const char *name, const u_char *p,
    size_t len)
{
    if (len == 0) {
        return;
    }

    ngx_pulse_buf_char(b, '"');
    ngx_pulse_buf_append(b, (u_char *) name, ngx_strlen(name));
    ngx_pulse_buf_literal(b, "\":");
    ngx_pulse_buf_json(b, p, len);
    ngx_pulse_buf_char(b, ',');
}


void
ngx_pulse_uuid_text(u_char *text, const u_char *id)
{
    ngx_uint_t           i;
    static const u_char  hex[] = "0123456789abcdef";

    for (i = 0; i < 16; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *text++ = '-';
        }

        *text++ = hex[id[i] >> 4];
        *text++ = hex[id[i] & 0xf];
    }
}


void
ngx_pulse_uuid_bytes(u_char *id, const u_char *text)
{
    ngx_uint_t  i;

    for (i = 0; i < 16; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text++;
        }

        id[i] = (u_char) (ngx_pulse_uuid_digit(text[0]) << 4
                          | ngx_pulse_uuid_digit(text[1]));
        text += 2;
    }
}


/* of either case; a letter has the bit of 0x40 */

static ngx_inline u_char
ngx_pulse_uuid_digit(u_char ch)
{
    return (ch & 0xf) + (ch >> 6) * 9;
}


/* the four bytes of the sum itself count as zero */

static uint32_t
ngx_pulse_journal_crc(const u_char *p, size_t len)
{
    uint32_t  crc;

    static const u_char  none[4];

    if (ngx_pulse_journal_table[0][1] == 0) {
        ngx_pulse_journal_crc_init();
    }

    crc = ngx_pulse_journal_crc_update(0xffffffff, p, 8);
    crc = ngx_pulse_journal_crc_update(crc, none, 4);
    crc = ngx_pulse_journal_crc_update(crc, p + 12, len - 12);

    return crc ^ 0xffffffff;
}


/* table[n][b] is byte "b" with "n" bytes of zeros behind it */

static void
ngx_pulse_journal_crc_init(void)
{
    uint32_t    crc;
    ngx_uint_t  i, n;

    for (i = 256; i--; /* void */ ) {
        crc = i;

        for (n = 0; n < 8; n++) {
            crc = (crc & 1) ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
        }

        ngx_pulse_journal_table[0][i] = crc;
    }

    for (n = 1; n < 8; n++) {
        for (i = 0; i < 256; i++) {
            crc = ngx_pulse_journal_table[n - 1][i];
            ngx_pulse_journal_table[n][i] = (crc >> 8)
                                ^ ngx_pulse_journal_table[0][crc & 0xff];
        }
    }
}


/* Eight bytes at a time: each lookup waits for no other. */

static uint32_t
ngx_pulse_journal_crc_update(uint32_t crc, const u_char *p, size_t len)
{
    uint64_t  word;

    for ( /* void */ ; len >= 8; len -= 8, p += 8) {
        word = ngx_pulse_journal_get(p, 8) ^ crc;

        crc = ngx_pulse_journal_table[7][word & 0xff]
              ^ ngx_pulse_journal_table[6][word >> 8 & 0xff]
              ^ ngx_pulse_journal_table[5][word >> 16 & 0xff]
              ^ ngx_pulse_journal_table[4][word >> 24 & 0xff]
              ^ ngx_pulse_journal_table[3][word >> 32 & 0xff]
              ^ ngx_pulse_journal_table[2][word >> 40 & 0xff]
              ^ ngx_pulse_journal_table[1][word >> 48 & 0xff]
              ^ ngx_pulse_journal_table[0][word >> 56];
    }

    for ( /* void */ ; len; len--) {
        crc = ngx_pulse_journal_table[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
    }

    return crc;
}


static ngx_inline u_char *
ngx_pulse_journal_put(u_char *p, uint64_t n, ngx_uint_t size)
{
#if (NGX_HAVE_LITTLE_ENDIAN)

    return ngx_cpymem(p, &n, size);

#else

    while (size--) {
        *p++ = (u_char) n;
        n >>= 8;
    }

    return p;

#endif
}


static ngx_inline uint64_t
ngx_pulse_journal_get(const u_char *p, ngx_uint_t size)
{
    uint64_t  n;

    n = 0;

#if (NGX_HAVE_LITTLE_ENDIAN)

    ngx_memcpy(&n, p, size);

#else

    for ( /* void */ ; size; size--) {
        n = n << 8 | p[size - 1];
    }

#endif

    return n;
}
