
#include "pulse_cv.h"


#define PULSE_CV_SPANS  (2 * PULSE_CV_LIST + 4)
#define PULSE_CV_LIST   60              /* words of a line at most */


typedef struct {
    const pulse_cv_t    *cv;
    ngx_pool_t          *pool;
    pulse_document_t    *document;
    ngx_uint_t           size;          /* paragraphs there is room for */
    pulse_span_t         spans[PULSE_CV_SPANS];
    ngx_uint_t           nspans;        /* of the line that is written */
    unsigned             failed:1;
} pulse_cv_writer_t;


typedef void (*pulse_cv_writer_pt)(pulse_cv_writer_t *w,
    const pulse_cv_section_t *section);


static void pulse_cv_head(pulse_cv_writer_t *w);
static void pulse_cv_contact(pulse_cv_writer_t *w, const ngx_str_t *text,
    const char *scheme);
static void pulse_cv_write_summary(pulse_cv_writer_t *w,
    const pulse_cv_section_t *section);
static void pulse_cv_write_history(pulse_cv_writer_t *w,
    const pulse_cv_section_t *section);
static void pulse_cv_write_list(pulse_cv_writer_t *w,
    const pulse_cv_section_t *section);
static void pulse_cv_write_words(pulse_cv_writer_t *w,
    const pulse_cv_section_t *section);
static void pulse_cv_history(pulse_cv_writer_t *w,
    const pulse_cv_entry_t *entry, ngx_uint_t ongoing);
static void pulse_cv_prose(pulse_cv_writer_t *w, const ngx_str_t *text);
static void pulse_cv_join(pulse_cv_writer_t *w, const ngx_str_t *texts,
    ngx_uint_t n);
static void pulse_cv_period(pulse_cv_writer_t *w,
    const pulse_cv_entry_t *entry, ngx_uint_t ongoing);
static ngx_str_t pulse_cv_day(pulse_cv_writer_t *w,
    const pulse_cv_date_t *date);
static void pulse_cv_number(pulse_cv_writer_t *w, ngx_pulse_buf_t *b,
    ngx_uint_t n);
static void pulse_cv_span(pulse_cv_writer_t *w, const ngx_str_t *text,
    const ngx_str_t *url, ngx_uint_t strong);
static void pulse_cv_literal(pulse_cv_writer_t *w, const char *text);
static void pulse_cv_paragraph(pulse_cv_writer_t *w,
    pulse_paragraph_role_e role);
static ngx_str_t pulse_cv_concat(pulse_cv_writer_t *w, const char *prefix,
    const ngx_str_t *text);


static const char *const  pulse_cv_headings[][2] = {
    { "Summary", "الملخص المهني" },
    { "Experience", "الخبرة العملية" },
    { "Education", "التعليم" },
    { "Skills", "المهارات" },
    { "Projects", "المشاريع" },
    { "Certifications", "الشهادات" },
    { "Awards", "الجوائز" },
    { "Publications", "المنشورات" },
    { "Volunteering", "العمل التطوعي" },
    { "Languages", "اللغات" },
    { "Interests", "الاهتمامات" },
    { "References", "المراجع" }
};


static const pulse_cv_writer_pt  pulse_cv_writers[] = {
    pulse_cv_write_summary,
    pulse_cv_write_history,
    pulse_cv_write_history,
    pulse_cv_write_words,
    pulse_cv_write_history,
    pulse_cv_write_list,
    pulse_cv_write_list,
    pulse_cv_write_list,
    pulse_cv_write_history,
    pulse_cv_write_list,
    pulse_cv_write_words,
    pulse_cv_write_history
};


static const char *const  pulse_cv_months_en[] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
    "Nov", "Dec"
};

static const char *const  pulse_cv_months_levant[] = {
    "كانون الثاني", "شباط", "آذار", "نيسان", "أيار", "حزيران", "تموز", "آب",
    "أيلول", "تشرين الأول", "تشرين الثاني", "كانون الأول"
};

static const char *const  pulse_cv_months_ar[] = {
    "يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس",
    "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"
};


pulse_document_t *
pulse_cv_document(ngx_pool_t *pool, const pulse_cv_t *cv)
{
    ngx_str_t                  heading;
    ngx_uint_t                 i;
    pulse_document_t          *document;
    pulse_cv_writer_t          w;
    pulse_cv_section_e         kind;
    const pulse_cv_section_t  *section;

    document = ngx_pcalloc(pool, sizeof(pulse_document_t));
    if (document == NULL) {
        return NULL;
    }

    ngx_memzero(&w, sizeof(pulse_cv_writer_t));

    w.cv = cv;
    w.pool = pool;
    w.document = document;

    pulse_cv_head(&w);

    for (i = 0; i < cv->norder; i++) {
        kind = cv->order[i];
        section = &cv->sections[kind];

        if (section->nentries == 0) {
            continue;
        }

        heading = section->label;

        if (heading.len) {
            pulse_cv_span(&w, &heading, NULL, 0);
        } else {
            pulse_cv_literal(&w, pulse_cv_headings[kind][cv->arabic]);
        }

        pulse_cv_paragraph(&w, pulse_paragraph_section);
        pulse_cv_writers[kind](&w, section);
    }

    return w.failed ? NULL : document;
}


static void
pulse_cv_head(pulse_cv_writer_t *w)
{
    ngx_uint_t         i;
    const pulse_cv_t  *cv;
    pulse_document_t  *document;

    cv = w->cv;
    document = w->document;

    document->title = pulse_cv_concat(w, cv->arabic ? "السيرة الذاتية – "
                                                    : "CV – ", &cv->name);
    document->author = cv->name;
    document->language = cv->language;
    document->template = cv->template;
    document->font = cv->font;
    document->accent = cv->accent;
    document->rtl = cv->arabic;
    document->letter = cv->letter;

    pulse_cv_span(w, &cv->name, NULL, 0);
    pulse_cv_paragraph(w, pulse_paragraph_name);

    pulse_cv_span(w, &cv->headline, NULL, 0);
    pulse_cv_paragraph(w, pulse_paragraph_headline);

    pulse_cv_contact(w, &cv->email, "mailto:");
    pulse_cv_contact(w, &cv->phone, NULL);
    pulse_cv_contact(w, &cv->place, NULL);
    pulse_cv_contact(w, &cv->url, "");

    for (i = 0; i < cv->nlinks; i++) {
        pulse_cv_contact(w, &cv->links[i], "");
    }

    pulse_cv_paragraph(w, pulse_paragraph_contact);
}


/* "scheme" is what the text lacks to be an address; NULL: it is none */

static void
pulse_cv_contact(pulse_cv_writer_t *w, const ngx_str_t *text,
    const char *scheme)
{
    ngx_str_t  url, shown;

    if (text->len == 0) {
        return;
    }

    if (w->nspans) {
        pulse_cv_literal(w, " | ");
    }

    if (scheme == NULL) {
        pulse_cv_span(w, text, NULL, 0);
        return;
    }

    url = pulse_cv_concat(w, scheme, text);
    shown = *text;

    /* what everybody adds when reading is left out of what is shown */

    if (shown.len > 8 && ngx_memcmp(shown.data, "https://", 8) == 0) {
        shown.data += 8;
        shown.len -= 8;
    }

    pulse_cv_span(w, &shown, &url, 0);
}


static void
pulse_cv_write_summary(pulse_cv_writer_t *w,
    const pulse_cv_section_t *section)
{
    pulse_cv_prose(w, &section->entries->summary);
}


static void
pulse_cv_write_history(pulse_cv_writer_t *w,
    const pulse_cv_section_t *section)
{
    ngx_uint_t  i, ongoing;

    /* a position without an end is held today, a study or a project may
     * just have a year */

    ongoing = section == &w->cv->sections[pulse_cv_work]
              || section == &w->cv->sections[pulse_cv_volunteer];

    for (i = 0; i < section->nentries; i++) {
        pulse_cv_history(w, &section->entries[i], ongoing);
    }
}


static void
pulse_cv_history(pulse_cv_writer_t *w, const pulse_cv_entry_t *entry,
    ngx_uint_t ongoing)
{
    ngx_uint_t  i;

    pulse_cv_span(w, &entry->title, NULL, 0);

    if (entry->title.len && entry->detail.len) {
        pulse_cv_literal(w, w->cv->arabic ? "، " : ", ");
    }

    pulse_cv_span(w, &entry->detail, NULL, 0);
    pulse_cv_paragraph(w, pulse_paragraph_entry);

    /* a line of its own, as parsers of CVs look for it */

    pulse_cv_span(w, &entry->organization, &entry->url, 0);

    if (entry->organization.len == 0) {
        pulse_cv_contact(w, &entry->url, "");
    }

    pulse_cv_paragraph(w, pulse_paragraph_organization);

    pulse_cv_period(w, entry, ongoing);
    pulse_cv_contact(w, &entry->place, NULL);
    pulse_cv_contact(w, &entry->score, NULL);
    pulse_cv_paragraph(w, pulse_paragraph_meta);

    pulse_cv_prose(w, &entry->summary);

    for (i = 0; i < entry->nitems; i++) {
        pulse_cv_span(w, &entry->items[i], NULL, 0);
        pulse_cv_paragraph(w, pulse_paragraph_bullet);
    }

    pulse_cv_join(w, entry->words, entry->nwords);
    pulse_cv_paragraph(w, pulse_paragraph_text);
}


/* "Title – organization – Mar 2021", a bullet each */

static void
pulse_cv_write_list(pulse_cv_writer_t *w, const pulse_cv_section_t *section)
{
    ngx_uint_t               i, k;
    ngx_str_t                day;
    const ngx_str_t         *parts[3];
    const pulse_cv_entry_t  *entry;

    for (i = 0; i < section->nentries; i++) {
        entry = &section->entries[i];
        day = pulse_cv_day(w, &entry->start);

        parts[0] = &entry->detail;
        parts[1] = &entry->organization;
        parts[2] = &day;

        pulse_cv_span(w, &entry->title, &entry->url, 1);

        for (k = 0; k < 3; k++) {
            if (parts[k]->len) {
                pulse_cv_literal(w, w->nspans ? " – " : "");
                pulse_cv_span(w, parts[k], NULL, 0);
            }
        }

        pulse_cv_paragraph(w, pulse_paragraph_bullet);
        pulse_cv_prose(w, &entry->summary);
    }
}


/* "Title (level): word, word"; titles without words share a line */

static void
pulse_cv_write_words(pulse_cv_writer_t *w, const pulse_cv_section_t *section)
{
    ngx_uint_t               i;
    const pulse_cv_entry_t  *entry;

    for (i = 0; i < section->nentries; i++) {
        entry = &section->entries[i];

        if (w->nspans) {
            if (entry->nwords || w->nspans + 5 > PULSE_CV_SPANS) {
                pulse_cv_paragraph(w, pulse_paragraph_text);
            } else {
                pulse_cv_literal(w, w->cv->arabic ? "، " : ", ");
            }
        }

        pulse_cv_span(w, &entry->title, NULL, entry->nwords != 0);

        if (entry->detail.len) {
            pulse_cv_literal(w, " (");
            pulse_cv_span(w, &entry->detail, NULL, 0);
            pulse_cv_literal(w, ")");
        }

        if (entry->nwords) {
            pulse_cv_literal(w, ": ");
            pulse_cv_join(w, entry->words, entry->nwords);
            pulse_cv_paragraph(w, pulse_paragraph_text);
        }
    }

    pulse_cv_paragraph(w, pulse_paragraph_text);
}


/* lines of a text are paragraphs, and bullets where they start as one */

static void
pulse_cv_prose(pulse_cv_writer_t *w, const ngx_str_t *text)
{
    u_char                  *p, *end, *last;
    ngx_str_t                line;
    pulse_paragraph_role_e   role;

    if (text->len == 0) {
        return;
    }

    last = text->data + text->len;

    for (p = text->data; p < last; p = end + 1) {

        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            end = last;
        }

        line.data = p;
        line.len = end - p;
        role = pulse_paragraph_text;

        if (line.len > 2 && (line.data[0] == '-' || line.data[0] == '*')
            && line.data[1] == ' ')
        {
            line.data += 2;
            line.len -= 2;
            role = pulse_paragraph_bullet;

        } else if (line.len > 4
                   && ngx_memcmp(line.data, "\xe2\x80\xa2 ", 4) == 0)
        {
            line.data += 4;
            line.len -= 4;
            role = pulse_paragraph_bullet;
        }

        pulse_cv_span(w, &line, NULL, 0);
        pulse_cv_paragraph(w, role);
    }
}


static void
pulse_cv_join(pulse_cv_writer_t *w, const ngx_str_t *texts, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (i) {
            pulse_cv_literal(w, w->cv->arabic ? "، " : ", ");
        }

        pulse_cv_span(w, &texts[i], NULL, 0);
    }
}


static void
pulse_cv_period(pulse_cv_writer_t *w, const pulse_cv_entry_t *entry,
    ngx_uint_t ongoing)
{
    ngx_str_t  start, end;

    start = pulse_cv_day(w, &entry->start);
    end = pulse_cv_day(w, &entry->end);

    pulse_cv_span(w, &start, NULL, 0);

    if (start.len && end.len) {
        pulse_cv_literal(w, " – ");
    }

    pulse_cv_span(w, &end, NULL, 0);

    if (ongoing && start.len && end.len == 0) {
        pulse_cv_literal(w, w->cv->arabic ? " – الآن" : " – Present");
    }
}


/* the day of the month says nothing in a CV */

static ngx_str_t
pulse_cv_day(pulse_cv_writer_t *w, const pulse_cv_date_t *date)
{
    ngx_str_t           text;
    const char         *month;
    ngx_pulse_buf_t     b;
    const char *const  *months;

    ngx_str_null(&text);

    if (date->year == 0) {
        return text;
    }

    ngx_pulse_buf_init(&b, 0);

    if (date->month) {
        months = !w->cv->arabic ? pulse_cv_months_en
                 : w->cv->levant ? pulse_cv_months_levant
                 : pulse_cv_months_ar;
        month = months[date->month - 1];

        ngx_pulse_buf_append(&b, (u_char *) month, strlen(month));
        ngx_pulse_buf_char(&b, ' ');
    }

    pulse_cv_number(w, &b, date->year);

    text.data = ngx_pnalloc(w->pool, b.len + 1);

    if (b.failed || text.data == NULL) {
        w->failed = 1;

    } else {
        ngx_memcpy(text.data, b.data, b.len);
        text.len = b.len;
    }

    ngx_pulse_buf_free(&b);

    return text;
}


static void
pulse_cv_number(pulse_cv_writer_t *w, ngx_pulse_buf_t *b, ngx_uint_t n)
{
    size_t  i, start;
    u_char  digits[4];

    start = b->len;
    ngx_pulse_buf_int(b, n);

    if (!w->cv->digits || b->failed) {
        return;
    }

    ngx_memcpy(digits, b->data + start, 4);
    b->len = start;

    for (i = 0; i < 4; i++) {
        ngx_pulse_buf_char(b, 0xd9);
        ngx_pulse_buf_char(b, 0xa0 + digits[i] - '0');
    }
}


static void
pulse_cv_span(pulse_cv_writer_t *w, const ngx_str_t *text,
    const ngx_str_t *url, ngx_uint_t strong)
{
    pulse_span_t  *span;

    if (text->len == 0) {
        return;
    }

    if (w->nspans == PULSE_CV_SPANS) {
        w->failed = 1;
        return;
    }

    span = &w->spans[w->nspans++];

    ngx_memzero(span, sizeof(pulse_span_t));

    span->text = *text;
    span->strong = strong;

    if (url) {
        span->url = *url;
    }
}


static void
pulse_cv_literal(pulse_cv_writer_t *w, const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = strlen(text);

    pulse_cv_span(w, &s, NULL, 0);
}


/* ends the line; an empty one leaves nothing */

static void
pulse_cv_paragraph(pulse_cv_writer_t *w, pulse_paragraph_role_e role)
{
    pulse_document_t   *document;
    pulse_paragraph_t  *paragraph, *paragraphs;

    document = w->document;

    if (w->nspans == 0 || w->failed) {
        return;
    }

    if (document->nparagraphs == w->size) {
        w->size = w->size ? w->size * 2 : 64;

        paragraphs = ngx_palloc(w->pool,
                                w->size * sizeof(pulse_paragraph_t));
        if (paragraphs == NULL) {
            w->failed = 1;
            return;
        }

        if (document->nparagraphs) {
            ngx_memcpy(paragraphs, document->paragraphs,
                       document->nparagraphs * sizeof(pulse_paragraph_t));
        }

        document->paragraphs = paragraphs;
    }

    paragraph = &document->paragraphs[document->nparagraphs++];

    paragraph->role = role;
    paragraph->nspans = w->nspans;
    paragraph->spans = ngx_palloc(w->pool, w->nspans * sizeof(pulse_span_t));

    if (paragraph->spans == NULL) {
        w->failed = 1;
        return;
    }

    ngx_memcpy(paragraph->spans, w->spans, w->nspans * sizeof(pulse_span_t));
    w->nspans = 0;
}


static ngx_str_t
pulse_cv_concat(pulse_cv_writer_t *w, const char *prefix,
    const ngx_str_t *text)
{
    size_t     len;
    ngx_str_t  whole;

    len = strlen(prefix);

    whole.len = len + text->len;
    whole.data = ngx_pnalloc(w->pool, whole.len + 1);

    if (whole.data == NULL) {
        w->failed = 1;
        ngx_str_null(&whole);
        return whole;
    }

    ngx_memcpy(whole.data, prefix, len);
    ngx_memcpy(whole.data + len, text->data, text->len);
    whole.data[whole.len] = '\0';

    return whole;
}
