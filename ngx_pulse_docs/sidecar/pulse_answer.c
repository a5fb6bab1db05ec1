
#include "pulse_answer.h"


#define PULSE_ANSWER_MESSAGE  3         /* tokens of a message itself */
#define PULSE_ANSWER_STRING   90        /* bytes of one in JSON */


static void pulse_answer_content(ngx_pulse_json_value_t *message,
    ngx_pulse_buf_t *b);
static ngx_uint_t pulse_answer_arabic(const ngx_str_t *text);
static void pulse_answer_value(ngx_pulse_json_value_t *schema,
    const ngx_str_t *prompt, ngx_pulse_buf_t *b);
static void pulse_answer_string(const ngx_str_t *prompt, ngx_pulse_buf_t *b);
static ngx_uint_t pulse_answer_is(ngx_pulse_json_value_t *value,
    const char *text);


static const char  pulse_answer_en[] =
    "This is the demo provider of Pulse AI Studio: no model stands behind it."
    " Your message of %u words arrived, was metered and is answered word by"
    " word, as a model would. To talk to a real one set a key and start"
    " again: OPENAI_API_KEY=... make run";

static const char  pulse_answer_ar[] =
    "هذا هو المزوّد التجريبي في استوديو Pulse AI، ولا نموذج خلفه."
    " وصلت رسالتك وفيها %u كلمة، وجرى احتسابها، ويأتيك الرد كلمة كلمة كما"
    " يفعل النموذج. لمحادثة نموذج حقيقي عيّن مفتاحًا ثم أعد التشغيل:"
    " OPENAI_API_KEY=... make run";


size_t
pulse_answer_word(const u_char *p, size_t len)
{
    size_t  n;

    for (n = 0; n < len && p[n] <= ' '; n++) { /* void */ }
    for ( /* void */ ; n < len && p[n] > ' '; n++) { /* void */ }

    return n;
}


ngx_uint_t
pulse_answer_count(const ngx_str_t *text)
{
    u_char      *p;
    size_t       n, rest;
    ngx_uint_t   words;

    words = 0;

    for (p = text->data, rest = text->len; rest; p += n, rest -= n) {
        n = pulse_answer_word(p, rest);

        if (p[n - 1] > ' ') {
            words++;
        }
    }

    return words;
}


ngx_uint_t
pulse_answer_prompt(ngx_pulse_json_value_t *messages)
{
    ngx_str_t                text;
    ngx_uint_t               n;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_value_t  *message;

    n = 0;

    ngx_pulse_buf_init(&b, 0);

    for (message = messages->children; message; message = message->next) {
        b.len = 0;
        pulse_answer_content(message, &b);

        text.data = b.data;
        text.len = b.len;

        n += PULSE_ANSWER_MESSAGE + pulse_answer_count(&text);
    }

    ngx_pulse_buf_free(&b);

    return n;
}


void
pulse_answer_last(ngx_pulse_json_value_t *messages, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *message, *last;

    last = NULL;

    for (message = messages->children; message; message = message->next) {
        if (pulse_answer_is(ngx_pulse_json_get(message, "role"), "user")) {
            last = message;
        }
    }

    if (last) {
        pulse_answer_content(last, b);
    }
}


/* "content" is a string, or parts of which some are text */

static void
pulse_answer_content(ngx_pulse_json_value_t *message, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *content, *part, *text;

    content = ngx_pulse_json_get(message, "content");

    if (content == NULL) {
        return;
    }

    if (content->type == NGX_PULSE_JSON_STRING) {
        ngx_pulse_buf_str(b, &content->string);
        return;
    }

    if (content->type != NGX_PULSE_JSON_ARRAY) {
        return;
    }

    for (part = content->children; part; part = part->next) {
        text = ngx_pulse_json_get(part, "text");

        if (text && text->type == NGX_PULSE_JSON_STRING) {
            ngx_pulse_buf_str(b, &text->string);
            ngx_pulse_buf_char(b, ' ');
        }
    }
}


void
pulse_answer_text(const ngx_str_t *prompt, ngx_pulse_buf_t *b)
{
    int      n;
    size_t   size;
    u_char  *p;

    size = sizeof(pulse_answer_ar) + NGX_INT_T_LEN;

    p = ngx_pulse_buf_reserve(b, size);
    if (p == NULL) {
        return;
    }

    n = snprintf((char *) p, size,
                 pulse_answer_arabic(prompt) ? pulse_answer_ar
                                             : pulse_answer_en,
                 (unsigned) pulse_answer_count(prompt));

    b->len += n;
}


/* U+0600 to U+07BF and U+08A0 to U+08FF by their lead bytes, presentation
 * forms (U+FB50 to U+FDFF, U+FE70 to U+FEFF) by the first two */

static ngx_uint_t
pulse_answer_arabic(const ngx_str_t *text)
{
    size_t   i;
    u_char  *p;

    p = text->data;

    for (i = 0; i + 1 < text->len; i++) {

        if ((p[i] >= 0xd8 && p[i] <= 0xde)
            || (p[i] == 0xe0 && (p[i + 1] == 0xa2 || p[i + 1] == 0xa3))
            || (p[i] == 0xef && (p[i + 1] >= 0xad && p[i + 1] <= 0xbb)))
        {
            return 1;
        }
    }

    return 0;
}


void
pulse_answer_arguments(ngx_pulse_json_value_t *parameters,
    const ngx_str_t *prompt, ngx_pulse_buf_t *b)
{
    ngx_uint_t               n;
    ngx_pulse_json_value_t  *name, *property, *required;

    required = ngx_pulse_json_get(parameters, "required");
    property = ngx_pulse_json_get(parameters, "properties");

    ngx_pulse_buf_char(b, '{');

    if (required && property && property->type == NGX_PULSE_JSON_OBJECT) {

        n = 0;

        for (property = property->children;
             property;
             property = property->next)
        {
            for (name = required->children; name; name = name->next) {
                if (name->type == NGX_PULSE_JSON_STRING
                    && name->string.len == property->key.len
                    && ngx_memcmp(name->string.data, property->key.data,
                                  property->key.len)
                       == 0)
                {
                    break;
                }
            }

            if (name == NULL) {
                continue;
            }

            if (n++) {
                ngx_pulse_buf_char(b, ',');
            }

            ngx_pulse_buf_json(b, property->key.data, property->key.len);
            ngx_pulse_buf_char(b, ':');
            pulse_answer_value(property, prompt, b);
        }
    }

    ngx_pulse_buf_char(b, '}');
}


static void
pulse_answer_value(ngx_pulse_json_value_t *schema, const ngx_str_t *prompt,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *type, *choice, *items;

    type = ngx_pulse_json_get(schema, "type");
    choice = ngx_pulse_json_get(schema, "enum");

    if (choice && choice->type == NGX_PULSE_JSON_ARRAY && choice->children
        && choice->children->type == NGX_PULSE_JSON_STRING)
    {
        ngx_pulse_buf_json(b, choice->children->string.data,
                           choice->children->string.len);

    } else if (pulse_answer_is(type, "integer")
               || pulse_answer_is(type, "number"))
    {
        ngx_pulse_buf_char(b, '1');

    } else if (pulse_answer_is(type, "boolean")) {
        ngx_pulse_buf_literal(b, "true");

    } else if (pulse_answer_is(type, "array")) {
        items = ngx_pulse_json_get(schema, "items");

        ngx_pulse_buf_char(b, '[');

        if (items) {
            pulse_answer_value(items, prompt, b);
        }

        ngx_pulse_buf_char(b, ']');

    } else if (pulse_answer_is(type, "object")) {
        pulse_answer_arguments(schema, prompt, b);

    } else {
        pulse_answer_string(prompt, b);
    }
}


/* the first line, or what of it is no longer than a title */

static void
pulse_answer_string(const ngx_str_t *prompt, ngx_pulse_buf_t *b)
{
    size_t  len;

    len = 0;

    while (len < prompt->len && prompt->data[len] != '\n') {
        len++;
    }

    if (len > PULSE_ANSWER_STRING) {
        len = PULSE_ANSWER_STRING;

        while (len && (prompt->data[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    ngx_pulse_buf_json(b, prompt->data, len);
}


static ngx_uint_t
pulse_answer_is(ngx_pulse_json_value_t *value, const char *text)
{
    return value && value->type == NGX_PULSE_JSON_STRING
           && value->string.len == strlen(text)
           && ngx_memcmp(value->string.data, text, value->string.len) == 0;
}
