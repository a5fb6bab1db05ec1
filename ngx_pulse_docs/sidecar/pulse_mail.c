
#include <time.h>
#include "pulse_file.h"
#include "pulse_mail.h"


#define PULSE_MAIL_TEMPLATE  65536
#define PULSE_MAIL_ADDRESS   254            /* RFC 5321, 4.5.3.1.3 */
#define PULSE_MAIL_LINE      57             /* bytes, 76 when encoded */
#define PULSE_MAIL_WORD      39             /* bytes of an encoded word */
#define PULSE_MAIL_NAME      64


static ngx_int_t pulse_mail_parts(pulse_mail_t *mail, ngx_pulse_buf_t *b,
    ngx_pulse_buf_t *text, ngx_pulse_buf_t *html);
static ngx_int_t pulse_mail_render(pulse_mail_t *mail, const char *suffix,
    ngx_pulse_buf_t *out);
static const char *pulse_mail_filled(pulse_mail_t *mail,
    ngx_pulse_buf_t *template, ngx_uint_t html, ngx_pulse_buf_t *out);
static const char *pulse_mail_fill(pulse_mail_t *mail, ngx_str_t *name,
    ngx_uint_t html, ngx_pulse_buf_t *out);
static void pulse_mail_choose(ngx_str_t *choices, ngx_str_t *value);
static void pulse_mail_escape(ngx_str_t *value, ngx_pulse_buf_t *out);
static void pulse_mail_header(pulse_mail_t *mail, ngx_str_t *subject,
    ngx_pulse_buf_t *b);
static void pulse_mail_date(ngx_pulse_buf_t *b);
static void pulse_mail_phrase(const char *name, ngx_pulse_buf_t *b);
static void pulse_mail_words(ngx_str_t *text, ngx_pulse_buf_t *b);
static void pulse_mail_part(pulse_mail_t *mail, const char *type,
    ngx_pulse_buf_t *content, ngx_pulse_buf_t *b);
static void pulse_mail_base64(ngx_pulse_buf_t *b, const u_char *p,
    size_t len);
static void pulse_mail_puts(ngx_pulse_buf_t *b, const char *text);


ngx_int_t
pulse_mail_write(pulse_mail_t *mail, ngx_pulse_buf_t *b)
{
    ngx_int_t        rc;
    ngx_pulse_buf_t  text, html;

    if (!pulse_mail_address(mail->recipient)) {
        mail->reason = "the recipient is no address";
        return NGX_DECLINED;
    }

    ngx_pulse_buf_init(&text, PULSE_MAIL_TEMPLATE);
    ngx_pulse_buf_init(&html, PULSE_MAIL_TEMPLATE);

    rc = pulse_mail_parts(mail, b, &text, &html);

    if (rc == NGX_OK && b->failed) {
        mail->reason = "no memory";
        rc = NGX_ERROR;
    }

    ngx_pulse_buf_free(&text);
    ngx_pulse_buf_free(&html);

    return rc;
}


static ngx_int_t
pulse_mail_parts(pulse_mail_t *mail, ngx_pulse_buf_t *b,
    ngx_pulse_buf_t *text, ngx_pulse_buf_t *html)
{
    u_char     *end;
    ngx_int_t   rc;
    ngx_str_t   subject;

    rc = pulse_mail_render(mail, "txt", text);

    if (rc == NGX_OK) {
        rc = pulse_mail_render(mail, "html", html);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    end = text->len ? memchr(text->data, '\n', text->len) : NULL;
    if (end == NULL) {
        mail->reason = "the template has no subject";
        return NGX_ERROR;
    }

    subject.data = text->data;
    subject.len = end - text->data;

    if (!pulse_mail_clean(&subject)) {
        mail->reason = "the subject has a control character";
        return NGX_ERROR;
    }

    pulse_mail_header(mail, &subject, b);

    /* what follows the subject and the blank line below it */

    end++;

    if (end < text->data + text->len && *end == '\n') {
        end++;
    }

    text->len -= end - text->data;
    memmove(text->data, end, text->len);

    pulse_mail_part(mail, "text/plain", text, b);
    pulse_mail_part(mail, "text/html", html, b);

    pulse_mail_puts(b, "--=_pulse_");
    pulse_mail_puts(b, mail->id);
    pulse_mail_puts(b, "--\r\n");

    return NGX_OK;
}


static ngx_int_t
pulse_mail_render(pulse_mail_t *mail, const char *suffix, ngx_pulse_buf_t *out)
{
    char              path[NGX_MAX_PATH];
    ngx_pulse_buf_t   template;

    /* both come from the database, where constraints and code chose them;
     * they are still not taken for a path */

    if (strchr(mail->kind, '/') || strchr(mail->locale, '/')) {
        mail->reason = "there is no such template";
        return NGX_DECLINED;
    }

    snprintf(path, sizeof(path), "%s/%s/%s.%s", mail->templates, mail->locale,
             mail->kind, suffix);

    ngx_pulse_buf_init(&template, PULSE_MAIL_TEMPLATE);

    if (pulse_file_read(path, &template) != NGX_OK) {
        ngx_pulse_buf_free(&template);
        mail->reason = "its template cannot be read";
        return NGX_ERROR;
    }

    mail->reason = pulse_mail_filled(mail, &template, suffix[0] == 'h', out);

    ngx_pulse_buf_free(&template);

    return mail->reason ? NGX_DECLINED : NGX_OK;
}


static const char *
pulse_mail_filled(pulse_mail_t *mail, ngx_pulse_buf_t *template,
    ngx_uint_t html, ngx_pulse_buf_t *out)
{
    u_char      *p, *open, *close, *last;
    ngx_str_t    name;
    const char  *reason;

    p = template->data;
    last = p + template->len;

    while (p < last) {

        open = memmem(p, last - p, "{{", 2);
        close = open ? memmem(open, last - open, "}}", 2) : NULL;

        if (close == NULL) {
            ngx_pulse_buf_append(out, p, last - p);
            break;
        }

        ngx_pulse_buf_append(out, p, open - p);

        name.data = open + 2;
        name.len = close - name.data;

        reason = pulse_mail_fill(mail, &name, html, out);
        if (reason) {
            return reason;
        }

        p = close + 2;
    }

    return out->failed ? "it is too long" : NULL;
}


/* "{{name}}", or "{{name:this=that,these=those}}" for words that are
 * translated */

static const char *
pulse_mail_fill(pulse_mail_t *mail, ngx_str_t *name, ngx_uint_t html,
    ngx_pulse_buf_t *out)
{
    char                     key[PULSE_MAIL_NAME];
    u_char                  *colon;
    ngx_str_t                choices, value;
    ngx_pulse_json_value_t  *member;

    choices.len = 0;
    choices.data = NULL;

    colon = memchr(name->data, ':', name->len);

    if (colon) {
        choices.data = colon + 1;
        choices.len = name->data + name->len - choices.data;
        name->len = colon - name->data;
    }

    snprintf(key, sizeof(key), "%.*s", (int) name->len, name->data);

    member = ngx_pulse_json_get(mail->payload, key);

    if (member == NULL
        || (member->type != NGX_PULSE_JSON_STRING
            && member->type != NGX_PULSE_JSON_NUMBER))
    {
        return "its payload lacks a member";
    }

    value = member->string;

    if (!pulse_mail_clean(&value)) {
        return "its payload has a control character";
    }

    pulse_mail_choose(&choices, &value);

    if (html) {
        pulse_mail_escape(&value, out);

    } else {
        ngx_pulse_buf_str(out, &value);
    }

    return NULL;
}


static void
pulse_mail_choose(ngx_str_t *choices, ngx_str_t *value)
{
    u_char  *p, *end, *last;

    p = choices->data;
    last = p + choices->len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = memchr(p, ',', last - p);
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) > value->len
            && p[value->len] == '='
            && ngx_memcmp(p, value->data, value->len) == 0)
        {
            p += value->len + 1;
            value->data = p;
            value->len = end - p;
            return;
        }
    }
}


static void
pulse_mail_escape(ngx_str_t *value, ngx_pulse_buf_t *out)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {

        switch (value->data[i]) {

        case '&':
            ngx_pulse_buf_literal(out, "&amp;");
            break;

        case '<':
            ngx_pulse_buf_literal(out, "&lt;");
            break;

        case '>':
            ngx_pulse_buf_literal(out, "&gt;");
            break;

        case '"':
            ngx_pulse_buf_literal(out, "&quot;");
            break;

        case '\'':
            ngx_pulse_buf_literal(out, "&#39;");
            break;

        default:
            ngx_pulse_buf_char(out, value->data[i]);
        }
    }
}


/* the same row always has the same Message-ID: a mail sent twice shows once */

static void
pulse_mail_header(pulse_mail_t *mail, ngx_str_t *subject, ngx_pulse_buf_t *b)
{
    pulse_mail_puts(b, "From: ");
    pulse_mail_phrase(mail->name, b);
    pulse_mail_puts(b, "\r\n <");
    pulse_mail_puts(b, mail->from);
    pulse_mail_puts(b, ">\r\nTo: <");
    pulse_mail_puts(b, mail->recipient);
    pulse_mail_puts(b, ">\r\nSubject: ");
    pulse_mail_words(subject, b);
    pulse_mail_puts(b, "\r\nDate: ");
    pulse_mail_date(b);
    pulse_mail_puts(b, "\r\nMessage-ID: <");
    pulse_mail_puts(b, mail->id);
    pulse_mail_puts(b, strchr(mail->from, '@'));
    pulse_mail_puts(b, ">\r\nMIME-Version: 1.0"
                       "\r\nAuto-Submitted: auto-generated"
                       "\r\nContent-Language: ");
    pulse_mail_puts(b, mail->locale);
    pulse_mail_puts(b, "\r\nContent-Type: multipart/alternative;"
                       "\r\n boundary=\"=_pulse_");
    pulse_mail_puts(b, mail->id);
    pulse_mail_puts(b, "\"\r\n\r\n");
}


static void
pulse_mail_date(ngx_pulse_buf_t *b)
{
    char       text[64];
    time_t     now;
    struct tm  tm;

    now = time(NULL);
    gmtime_r(&now, &tm);

    /* the program sets no locale: the names are English */

    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm);

    pulse_mail_puts(b, text);
}


/* RFC 5322: atoms stand for themselves, other ASCII is quoted */

static void
pulse_mail_phrase(const char *name, ngx_pulse_buf_t *b)
{
    ngx_str_t    text;
    const char  *p;

    text.data = (u_char *) name;
    text.len = strlen(name);

    for (p = name; *p && !(*p & 0x80); p++) {
        /* void */
    }

    if (*p || text.len > PULSE_MAIL_LINE
        || strpbrk(name, "()<>[]:;@\\,.\"") == NULL)
    {
        pulse_mail_words(&text, b);
        return;
    }

    ngx_pulse_buf_char(b, '"');

    for (p = name; *p; p++) {
        if (*p == '"' || *p == '\\') {
            ngx_pulse_buf_char(b, '\\');
        }

        ngx_pulse_buf_char(b, *p);
    }

    ngx_pulse_buf_char(b, '"');
}


/* RFC 2047: no line of the field, with its name, is longer than 76, and no
 * word is cut inside a letter */

static void
pulse_mail_words(ngx_str_t *text, ngx_pulse_buf_t *b)
{
    size_t   i, n, rest;
    u_char  *p;

    for (i = 0; i < text->len && text->data[i] < 0x80; i++) {
        /* void */
    }

    if (i == text->len && i <= PULSE_MAIL_LINE) {
        ngx_pulse_buf_str(b, text);
        return;
    }

    for (p = text->data, rest = text->len; rest; p += n, rest -= n) {

        n = (rest < PULSE_MAIL_WORD) ? rest : PULSE_MAIL_WORD;

        while (n < rest && n > 1 && (p[n] & 0xc0) == 0x80) {
            n--;
        }

        if (p != text->data) {
            ngx_pulse_buf_literal(b, "\r\n ");
        }

        ngx_pulse_buf_literal(b, "=?UTF-8?B?");
        pulse_mail_base64(b, p, n);
        ngx_pulse_buf_literal(b, "?=");
    }
}


static void
pulse_mail_part(pulse_mail_t *mail, const char *type,
    ngx_pulse_buf_t *content, ngx_pulse_buf_t *b)
{
    size_t  n, i;

    pulse_mail_puts(b, "--=_pulse_");
    pulse_mail_puts(b, mail->id);
    pulse_mail_puts(b, "\r\nContent-Type: ");
    pulse_mail_puts(b, type);
    pulse_mail_puts(b, "; charset=utf-8"
                       "\r\nContent-Transfer-Encoding: base64\r\n\r\n");

    for (i = 0; i < content->len; i += n) {

        n = content->len - i;

        if (n > PULSE_MAIL_LINE) {
            n = PULSE_MAIL_LINE;
        }

        pulse_mail_base64(b, content->data + i, n);
        pulse_mail_puts(b, "\r\n");
    }
}


static void
pulse_mail_base64(ngx_pulse_buf_t *b, const u_char *p, size_t len)
{
    size_t      n;
    uint32_t    bits;
    ngx_uint_t  i;

    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for ( /* void */ ; len; p += n, len -= n) {

        n = (len < 3) ? len : 3;
        bits = p[0] << 16;

        if (n > 1) {
            bits |= p[1] << 8;
        }

        if (n > 2) {
            bits |= p[2];
        }

        for (i = 0; i < 4; i++) {
            ngx_pulse_buf_char(b, i <= n ? alphabet[bits >> 18 & 63] : '=');
            bits <<= 6;
        }
    }
}


ngx_uint_t
pulse_mail_address(const char *address)
{
    size_t       i, len;
    const char  *at;

    len = strlen(address);
    at = strchr(address, '@');

    if (at == NULL || at == address || at[1] == '\0' || strchr(at + 1, '@')
        || len > PULSE_MAIL_ADDRESS)
    {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (address[i] <= ' ' || address[i] >= 0x7f
            || strchr("()<>[],;:\\\"", address[i]))
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
pulse_mail_clean(const ngx_str_t *text)
{
    size_t  i;
    u_char  ch, next;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];
        next = (i + 1 < text->len) ? text->data[i + 1] : '\0';

        /* U+0080 to U+009F are two bytes in UTF-8 */

        if (ch < ' ' || ch == 0x7f || (ch == 0xc2 && next < 0xa0)) {
            return 0;
        }
    }

    return 1;
}


static void
pulse_mail_puts(ngx_pulse_buf_t *b, const char *text)
{
    ngx_pulse_buf_append(b, (u_char *) text, strlen(text));
}
