
#include "pulse_look.h"
#include "pulse_slide_look.h"


#define PULSE_SLIDE_WIDE    12192000
#define PULSE_SLIDE_NARROW  9144000

#define PULSE_SLIDE_MARGIN  640080
#define PULSE_SLIDE_GUTTER  365760

/* of a letter's size: its usual width, and the distance of lines and of
 * paragraphs */

#define PULSE_SLIDE_LETTER  0.52
#define PULSE_SLIDE_LINE    1.25
#define PULSE_SLIDE_SPACE   0.4

#define PULSE_SLIDE_MOST    24          /* points of a list's text */
#define PULSE_SLIDE_LEAST   11

#define PULSE_SLIDE_TABLE   18          /* points of a table's text */
#define PULSE_SLIDE_SMALL   7
#define PULSE_SLIDE_EDGES   14.4        /* at both sides of a cell */

#define PULSE_SLIDE_ROUND   22          /* percent of white, each round */


typedef struct {
    ngx_int_t    column;        /* 0: the whole width, 1, 2: a half of it */
    ngx_int_t    y;
    ngx_int_t    height;
} pulse_slide_place_t;


static ngx_uint_t pulse_slide_row_lines(const pulse_table_t *table,
    ngx_uint_t row, ngx_uint_t size, const pulse_box_t *box);


/* in the order of pulse_box_e, but for the last two */

static const pulse_slide_place_t  pulse_slide_places[] = {
    { 0, 1700000, 1700000 },
    { 0, 3500000, 1200000 },
    { 0, 2200000, 1400000 },
    { 0, 3700000, 1000000 },
    { 0, 420000, 1000000 },
    { 0, 1600000, 4500000 },
    { 1, 1560000, 560000 },
    { 1, 2160000, 3940000 },
    { 2, 1560000, 560000 },
    { 2, 2160000, 3940000 },
    { 1, 1600000, 4500000 },
    { 2, 1600000, 4500000 },
    { 0, 1600000, 4100000 },
    { 0, 5740000, 460000 },
    { 0, 1500000, 2900000 },
    { 0, 4500000, 700000 }
};


/* in the order of pulse_template_e */

static const pulse_slide_look_t  pulse_slide_looks[] = {
    { 0xffffff, 0x1f2933, 0x52606d, 0xf1f5f9, 0, 1 },
    { 0xffffff, 0x1f2933, 0x52606d, 0xf1f5f9, 0, 1 },
    { 0xf8fafc, 0x102a43, 0x486581, 0xe4ecf4, 0, 1 },
    { 0x0f1720, 0xf5f7fa, 0xcbd2d9, 0x1f2b38, 1, 1 },
    { 0xffffff, 0x111111, 0x595959, 0xf5f5f5, 0, 0 }
};


const pulse_slide_look_t *
pulse_slide_look(pulse_template_e template)
{
    return &pulse_slide_looks[template];
}


uint32_t
pulse_slide_accent(const pulse_deck_t *deck)
{
    uint32_t  accent;

    accent = pulse_look_readable(deck->accent);

    /* what is dark enough for white is light enough for black when mixed
     * with white */

    return pulse_slide_looks[deck->template].dark
           ? pulse_look_tint(accent, 62) : accent;
}


ngx_int_t
pulse_slide_width(ngx_uint_t wide)
{
    return wide ? PULSE_SLIDE_WIDE : PULSE_SLIDE_NARROW;
}


pulse_box_t
pulse_slide_box(pulse_box_e which, ngx_uint_t wide, ngx_uint_t rtl)
{
    ngx_int_t                   width, half;
    pulse_box_t                 box;
    const pulse_slide_place_t  *place;

    width = pulse_slide_width(wide);
    half = (width - 2 * PULSE_SLIDE_MARGIN - PULSE_SLIDE_GUTTER) / 2;

    switch (which) {

    case pulse_box_number:
        box.width = 900000;
        box.height = 320000;
        box.x = width - PULSE_SLIDE_MARGIN - box.width;
        box.y = PULSE_SLIDE_HEIGHT - 480000;
        break;

    case pulse_box_bar:
        box.width = 150000;
        box.height = PULSE_SLIDE_HEIGHT;
        box.x = 0;
        box.y = 0;
        break;

    default:
        place = &pulse_slide_places[which];

        box.y = place->y;
        box.height = place->height;
        box.width = place->column ? half : width - 2 * PULSE_SLIDE_MARGIN;
        box.x = PULSE_SLIDE_MARGIN
                + (place->column == 2 ? half + PULSE_SLIDE_GUTTER : 0);
    }

    if (rtl) {
        box.x = width - box.x - box.width;
    }

    return box;
}


ngx_uint_t
pulse_slide_fit(const ngx_uint_t *characters, ngx_uint_t n,
    const pulse_box_t *box, ngx_uint_t least, ngx_uint_t most)
{
    double      points, height;
    ngx_uint_t  i, size, perline;

    points = (double) box->width / PULSE_SLIDE_POINT;

    for (size = most; size > least; size--) {
        perline = points / (size * PULSE_SLIDE_LETTER);
        height = 0;

        for (i = 0; i < n; i++) {
            height += size * PULSE_SLIDE_LINE
                      * ((characters[i] + perline) / (perline + 1))
                      + size * PULSE_SLIDE_SPACE;
        }

        if (height <= (double) box->height / PULSE_SLIDE_POINT) {
            break;
        }
    }

    return size;
}


ngx_uint_t
pulse_slide_count(const ngx_str_t *text)
{
    size_t      i;
    ngx_uint_t  n;

    n = 0;

    for (i = 0; i < text->len; i++) {
        n += (text->data[i] & 0xc0) != 0x80;
    }

    return n;
}


ngx_uint_t
pulse_slide_fit_bullets(const pulse_column_t *column, const pulse_box_t *box)
{
    ngx_uint_t   i, characters[PULSE_DECK_BULLETS];
    pulse_box_t  inner;

    /* lists are indented */

    inner = *box;
    inner.width -= 400000;

    for (i = 0; i < column->nbullets; i++) {
        characters[i] = pulse_slide_count(&column->bullets[i].text);
    }

    return pulse_slide_fit(characters, column->nbullets, &inner,
                           PULSE_SLIDE_LEAST, PULSE_SLIDE_MOST);
}


ngx_uint_t
pulse_slide_table_size(const pulse_table_t *table, const pulse_box_t *box)
{
    double      height;
    ngx_uint_t  i, size;

    for (size = PULSE_SLIDE_TABLE; size > PULSE_SLIDE_SMALL; size--) {
        height = 0;

        for (i = 0; i < table->rows; i++) {
            height += pulse_slide_row_lines(table, i, size, box)
                      * size * PULSE_SLIDE_LINE + size * PULSE_SLIDE_CELL;
        }

        if (height <= (double) box->height / PULSE_SLIDE_POINT) {
            break;
        }
    }

    return size;
}


/* lines of the fullest cell */

static ngx_uint_t
pulse_slide_row_lines(const pulse_table_t *table, ngx_uint_t row,
    ngx_uint_t size, const pulse_box_t *box)
{
    double      points;
    ngx_uint_t  i, perline, lines, most;

    points = (double) box->width / table->columns / PULSE_SLIDE_POINT
             - PULSE_SLIDE_EDGES;
    perline = points / (size * PULSE_SLIDE_LETTER);
    most = 1;

    for (i = 0; i < table->columns; i++) {
        lines = pulse_slide_count(&table->cells[row * table->columns + i])
                / perline + 1;
        most = ngx_max(most, lines);
    }

    return most;
}


pulse_box_t
pulse_slide_contain(const pulse_picture_t *picture, const pulse_box_t *box)
{
    double       scale, other;
    pulse_box_t  inner;

    scale = (double) box->width / picture->width;
    other = (double) box->height / picture->height;

    scale = ngx_min(scale, other);

    inner.width = ngx_max(picture->width * scale, 1);
    inner.height = ngx_max(picture->height * scale, 1);
    inner.x = box->x + (box->width - inner.width) / 2;
    inner.y = box->y + (box->height - inner.height) / 2;

    return inner;
}


void
pulse_slide_quoted(const pulse_deck_t *deck, const ngx_str_t *quote,
    ngx_pulse_buf_t *b)
{
    const char  *opening, *closing;

    opening = deck->rtl ? "\xc2\xab" : "\xe2\x80\x9c";
    closing = deck->rtl ? "\xc2\xbb" : "\xe2\x80\x9d";

    ngx_pulse_buf_append(b, (u_char *) opening, strlen(opening));
    ngx_pulse_buf_str(b, quote);
    ngx_pulse_buf_append(b, (u_char *) closing, strlen(closing));
}


uint32_t
pulse_slide_series(const pulse_deck_t *deck, ngx_uint_t n)
{
    uint32_t    color;
    ngx_uint_t  round;

    static const uint32_t  colors[] = {
        0, 0xc05621, 0x2f855a, 0x6b46c1, 0xb7791f, 0x2b6cb0
    };

    /* each round is lighter than the one before, so that no two of a pie's
     * slices look the same */

    round = n / (sizeof(colors) / sizeof(colors[0]));
    n %= sizeof(colors) / sizeof(colors[0]);

    color = n ? colors[n] : pulse_slide_accent(deck);

    return round ? pulse_look_tint(color, PULSE_SLIDE_ROUND * round) : color;
}


uint32_t
pulse_slide_grid(const pulse_deck_t *deck)
{
    return pulse_slide_looks[deck->template].dark ? 0x3e4c59 : 0xbfc7d1;
}
