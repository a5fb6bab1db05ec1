
#include "pulse_pieces.h"

#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>


#define PULSE_PIECES_RAW  (PULSE_PIECES_STEP / 4 * 3)


static void pulse_pieces_add(pulse_pieces_t *p, const pulse_piece_t *piece,
    size_t length);
static ssize_t pulse_pieces_some(pulse_pieces_t *p, pulse_piece_t *piece,
    u_char *buf, size_t size);
static ssize_t pulse_pieces_encode(pulse_pieces_t *p, pulse_piece_t *piece);


void
pulse_pieces_init(pulse_pieces_t *p)
{
    memset(p, 0, sizeof(pulse_pieces_t));
}


void
pulse_pieces_text(pulse_pieces_t *p, const u_char *data, size_t len)
{
    pulse_piece_t  piece;

    piece.data = data;
    piece.fd = -1;
    piece.len = len;
    piece.base64 = 0;

    pulse_pieces_add(p, &piece, len);
}


void
pulse_pieces_file(pulse_pieces_t *p, int fd, size_t len, ngx_uint_t base64)
{
    pulse_piece_t  piece;

    piece.data = NULL;
    piece.fd = fd;
    piece.len = len;
    piece.base64 = base64;

    pulse_pieces_add(p, &piece, base64 ? (len + 2) / 3 * 4 : len);
}


static void
pulse_pieces_add(pulse_pieces_t *p, const pulse_piece_t *piece, size_t length)
{
    if (p->n == PULSE_PIECES_MAX) {
        p->failed = 1;
        return;
    }

    p->elts[p->n++] = *piece;
    p->length += length;
}


ssize_t
pulse_pieces_read(pulse_pieces_t *p, u_char *buf, size_t size)
{
    size_t          read;
    ssize_t         n;
    pulse_piece_t  *piece;

    if (p->failed) {
        return NGX_ERROR;
    }

    read = 0;

    while (read < size && p->current < p->n) {
        piece = &p->elts[p->current];

        n = pulse_pieces_some(p, piece, buf + read, size - read);

        if (n == NGX_ERROR) {
            p->failed = 1;
            return NGX_ERROR;
        }

        if (n == 0) {
            p->current++;
            p->done = 0;
            continue;
        }

        read += n;
    }

    return read;
}


static ssize_t
pulse_pieces_some(pulse_pieces_t *p, pulse_piece_t *piece, u_char *buf,
    size_t size)
{
    ssize_t  n;

    if (piece->base64) {

        if (p->pos == p->last) {
            n = pulse_pieces_encode(p, piece);

            if (n <= 0) {
                return n;
            }
        }

        n = ngx_min(size, p->last - p->pos);

        memcpy(buf, p->buf + p->pos, n);
        p->pos += n;

        return n;
    }

    n = ngx_min(size, piece->len - p->done);

    if (n == 0) {
        return 0;
    }

    if (piece->data) {
        memcpy(buf, piece->data + p->done, n);

    } else {
        n = pread(piece->fd, buf, n, p->done);

        /* the length was told already */

        if (n <= 0) {
            return NGX_ERROR;
        }
    }

    p->done += n;

    return n;
}


static ssize_t
pulse_pieces_encode(pulse_pieces_t *p, pulse_piece_t *piece)
{
    size_t   want, have;
    u_char   raw[PULSE_PIECES_RAW];
    ssize_t  n;

    want = ngx_min(PULSE_PIECES_RAW, piece->len - p->done);

    /* only the last group may be padded */

    for (have = 0; have < want; have += n) {
        n = pread(piece->fd, raw + have, want - have, p->done + have);

        if (n <= 0) {
            return NGX_ERROR;
        }
    }

    p->done += have;
    p->pos = 0;
    p->last = have ? EVP_EncodeBlock(p->buf, raw, have) : 0;

    return p->last;
}


void
pulse_pieces_rewind(pulse_pieces_t *p)
{
    p->current = 0;
    p->done = 0;
    p->pos = 0;
    p->last = 0;
}
