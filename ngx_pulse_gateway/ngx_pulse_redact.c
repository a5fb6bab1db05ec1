
#include "ngx_pulse_redact.h"

#include <string.h>


#define NGX_PULSE_REDACT_KEY        8       /* shorter ones are words */
#define NGX_PULSE_REDACT_ACCOUNT    6
#define NGX_PULSE_REDACT_BETWEEN    8       /* a word and what it names */


typedef struct {
    ngx_str_t    text;
    size_t       least;             /* characters that follow */
} ngx_pulse_redact_prefix_t;


static void ngx_pulse_redact_key(u_char *p, u_char *last,
    const ngx_str_t *key);
static u_char *ngx_pulse_redact_token(u_char *p, u_char *last);
static u_char *ngx_pulse_redact_mail(u_char *first, u_char *at, u_char *last);
static u_char *ngx_pulse_redact_account(u_char *p, u_char *last);
static u_char *ngx_pulse_redact_name(u_char *p, u_char *last);
static u_char *ngx_pulse_redact_between(u_char *p, u_char *last,
    ngx_uint_t *quotes);
static ngx_uint_t ngx_pulse_redact_starts(u_char *first, u_char *p);
static const ngx_str_t *ngx_pulse_redact_word(const ngx_str_t *words,
    u_char *p, u_char *last);
static u_char *ngx_pulse_redact_end(u_char *p, u_char *last);
static ngx_uint_t ngx_pulse_redact_id(u_char ch);
static ngx_uint_t ngx_pulse_redact_alnum(u_char ch);


/* "org-wide" is a word, and "org-" with as much behind it none */

static const ngx_pulse_redact_prefix_t  ngx_pulse_redact_prefixes[] = {
    { ngx_string("sk-"), 1 },           /* OpenAI, Anthropic, OpenRouter */
    { ngx_string("org-"), 4 },          /* OpenAI */
    { ngx_string("org_"), 4 },          /* Groq */
    { ngx_string("proj_"), 1 },
    { ngx_string("user-"), 12 },
    { ngx_string("user_"), 12 },        /* OpenRouter */
    { ngx_string("gsk_"), 1 },          /* Groq */
    { ngx_string("xai-"), 4 },
    { ngx_string("AIza"), 4 },          /* Google */
    { ngx_string("hf_"), 8 },           /* whom vLLM has its models from */
    { ngx_null_string, 0 }
};


/* in small letters; longer ones before those that they begin with */

static const ngx_str_t  ngx_pulse_redact_words[] = {
    ngx_string("organization_id"), ngx_string("organization"),
    ngx_string("organisation"), ngx_string("org_id"),
    ngx_string("project_number"), ngx_string("project_id"),
    ngx_string("projects"), ngx_string("project"),
    ngx_string("account_id"), ngx_string("account"),
    ngx_string("workspace_id"), ngx_string("workspace"),
    ngx_string("team_id"), ngx_string("team"), ngx_string("consumer"),
    ngx_string("user_id"), ngx_string("api key"), ngx_string("api_key"),
    ngx_null_string
};


static const ngx_str_t  ngx_pulse_redact_names[] = {
    ngx_string("organization_name"), ngx_string("org_name"),
    ngx_string("project_name"), ngx_string("account_name"),
    ngx_string("workspace_name"), ngx_string("team_name"),
    ngx_null_string
};


void
ngx_pulse_redact(u_char *p, size_t len, const ngx_str_t *key)
{
    u_char  *first, *last, *end;

    first = p;
    last = p + len;

    if (key && key->len >= NGX_PULSE_REDACT_KEY) {
        ngx_pulse_redact_key(p, last, key);
    }

    while (p < last) {

        if (*p == '@') {
            p = ngx_pulse_redact_mail(first, p, last);
            continue;
        }

        if (!ngx_pulse_redact_starts(first, p)) {
            p++;
            continue;
        }

        end = ngx_pulse_redact_token(p, last);

        if (end == NULL) {
            end = ngx_pulse_redact_name(p, last);
        }

        if (end == NULL) {
            end = ngx_pulse_redact_account(p, last);
        }

        p = end ? end : p + 1;
    }
}


static void
ngx_pulse_redact_key(u_char *p, u_char *last, const ngx_str_t *key)
{
    while ((size_t) (last - p) >= key->len) {
        p = memmem(p, last - p, key->data, key->len);

        if (p == NULL) {
            return;
        }

        memset(p, '*', key->len);
        p += key->len;
    }
}


/* the prefix stays and says what it was; NULL: it is none */

static u_char *
ngx_pulse_redact_token(u_char *p, u_char *last)
{
    u_char                           *end;
    const ngx_pulse_redact_prefix_t  *prefix;

    for (prefix = ngx_pulse_redact_prefixes; prefix->text.len; prefix++) {

        if ((size_t) (last - p) <= prefix->text.len
            || memcmp(p, prefix->text.data, prefix->text.len) != 0)
        {
            continue;
        }

        p += prefix->text.len;
        end = ngx_pulse_redact_end(p, last);

        if ((size_t) (end - p) < prefix->least) {
            return NULL;
        }

        memset(p, '*', end - p);

        return end;
    }

    return NULL;
}


/* "at" is where it is; what follows must look like a host */

static u_char *
ngx_pulse_redact_mail(u_char *first, u_char *at, u_char *last)
{
    u_char      *start, *end;
    ngx_uint_t   dots;

    for (start = at;
         start > first && (ngx_pulse_redact_id(start[-1]) || start[-1] == '.'
                           || start[-1] == '+');
         start--)
    {
        /* void */
    }

    dots = 0;

    for (end = at + 1;
         end < last && (ngx_pulse_redact_id(*end) || *end == '.');
         end++)
    {
        dots += (*end == '.');
    }

    /* that of a sentence is none of it */

    if (end > at + 1 && end[-1] == '.') {
        end--;
        dots--;
    }

    if (start == at || dots == 0) {
        return at + 1;
    }

    memset(start, '*', end - start);

    return end;
}


/* organization `o-1a2b3c`, "project_number:123456789", team 1a2b-… */

static u_char *
ngx_pulse_redact_account(u_char *p, u_char *last)
{
    u_char           *end, *ch;
    ngx_uint_t        digits, quotes;
    const ngx_str_t  *word;

    word = ngx_pulse_redact_word(ngx_pulse_redact_words, p, last);

    if (word == NULL) {
        return NULL;
    }

    p = ngx_pulse_redact_between(p + word->len, last, &quotes);
    end = ngx_pulse_redact_token(p, last);

    if (end) {
        return end;
    }

    end = ngx_pulse_redact_end(p, last);
    digits = 0;

    for (ch = p; ch < end; ch++) {
        digits += (*ch >= '0' && *ch <= '9');
    }

    if (digits == 0 || end - p < NGX_PULSE_REDACT_ACCOUNT) {

        /* it may be such a word itself: consumer 'project_number:1' */

        return p;
    }

    /* a number of JSON stays one */

    memset(p, (quotes % 2 && digits == (ngx_uint_t) (end - p)) ? '9' : '*',
           end - p);

    return end;
}


/* "account_name": "all of this" */

static u_char *
ngx_pulse_redact_name(u_char *p, u_char *last)
{
    const ngx_str_t  *name;

    name = ngx_pulse_redact_word(ngx_pulse_redact_names, p, last);

    if (name == NULL) {
        return NULL;
    }

    p += name->len;

    if (p == last || *p != '"') {
        return NULL;
    }

    for (p++; p < last && (*p == ' ' || *p == ':'); p++) { /* void */ }

    if (p == last || *p != '"') {
        return NULL;
    }

    for (p++; p < last && *p != '"'; p++) {

        /* an escape's two stars are as good */

        if (*p == '\\' && last - p > 1) {
            *p++ = '*';
        }

        *p = '*';
    }

    return p;
}


/* quotes, colons and the like, also as JSON escapes them; "quotes" are those
 * that are not escaped */

static u_char *
ngx_pulse_redact_between(u_char *p, u_char *last, ngx_uint_t *quotes)
{
    ngx_uint_t  n;

    *quotes = 0;

    for (n = 0; n < NGX_PULSE_REDACT_BETWEEN && p < last; n++) {

        if (*p == '\\' && last - p >= 6 && p[1] == 'u') {
            p += 6;
            continue;
        }

        if (*p == '\\' && last - p >= 2) {
            p += 2;
            continue;
        }

        if (*p >= 0x80 || ngx_pulse_redact_id(*p)) {
            break;
        }

        *quotes += (*p == '"');
        p++;
    }

    return p;
}


/* no word ends right before, unless that is an escape of JSON's */

static ngx_uint_t
ngx_pulse_redact_starts(u_char *first, u_char *p)
{
    if (p == first || !(ngx_pulse_redact_alnum(p[-1]) || p[-1] == '_')) {
        return 1;
    }

    if (p - first >= 2 && p[-2] == '\\') {
        return 1;
    }

    return p - first >= 6 && p[-6] == '\\' && p[-5] == 'u';
}


static const ngx_str_t *
ngx_pulse_redact_word(const ngx_str_t *words, u_char *p, u_char *last)
{
    size_t            i;
    const ngx_str_t  *word;

    for (word = words; word->len; word++) {

        if ((size_t) (last - p) <= word->len) {
            continue;
        }

        for (i = 0; i < word->len; i++) {
            if ((p[i] >= 'A' && p[i] <= 'Z' ? (u_char) (p[i] | 0x20) : p[i])
                != word->data[i])
            {
                break;
            }
        }

        if (i == word->len && !ngx_pulse_redact_alnum(p[i])
            && p[i] != '_')
        {
            return word;
        }
    }

    return NULL;
}


static u_char *
ngx_pulse_redact_end(u_char *p, u_char *last)
{
    while (p < last && ngx_pulse_redact_id(*p)) {
        p++;
    }

    return p;
}


static ngx_uint_t
ngx_pulse_redact_id(u_char ch)
{
    return ngx_pulse_redact_alnum(ch) || ch == '-' || ch == '_';
}


static ngx_uint_t
ngx_pulse_redact_alnum(u_char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
           || (ch >= 'A' && ch <= 'Z');
}
