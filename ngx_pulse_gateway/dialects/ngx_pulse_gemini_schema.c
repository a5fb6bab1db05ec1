
#include "ngx_pulse_gemini.h"


typedef enum {
    NGX_PULSE_GEMINI_AS_IT_IS = 0,
    NGX_PULSE_GEMINI_LEFT_OUT,
    NGX_PULSE_GEMINI_SCHEMA,            /* or an array of them */
    NGX_PULSE_GEMINI_SCHEMAS,           /* an object of them */
    NGX_PULSE_GEMINI_TYPE,
    NGX_PULSE_GEMINI_ENUM,
    NGX_PULSE_GEMINI_FORMAT,
    NGX_PULSE_GEMINI_COUNT
} ngx_pulse_gemini_keyword_e;


typedef struct {
    const char                  *name;
    ngx_pulse_gemini_keyword_e   type;
    const char                  *to;
} ngx_pulse_gemini_keyword_t;


static void ngx_pulse_gemini_schema_member(const ngx_str_t *text,
    ngx_pulse_json_value_t *v, ngx_uint_t nullable, ngx_pulse_buf_t *b);
static ngx_pulse_gemini_keyword_t *ngx_pulse_gemini_keyword(
    const ngx_str_t *name);
static void ngx_pulse_gemini_schemas(const ngx_str_t *text,
    ngx_pulse_json_value_t *v, ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_schema_type(const ngx_str_t *text,
    ngx_pulse_json_value_t *v, ngx_uint_t nullable, ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_schema_enum(const ngx_str_t *text,
    ngx_pulse_json_value_t *v, ngx_uint_t nullable, ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_schema_raw(const ngx_str_t *text,
    const ngx_pulse_json_value_t *v, ngx_pulse_buf_t *b);
static ngx_uint_t ngx_pulse_gemini_is_count(const ngx_str_t *s);


static ngx_pulse_gemini_keyword_t  ngx_pulse_gemini_keywords[] = {
    { "type", NGX_PULSE_GEMINI_TYPE, NULL },
    { "enum", NGX_PULSE_GEMINI_ENUM, NULL },
    { "format", NGX_PULSE_GEMINI_FORMAT, NULL },
    { "nullable", NGX_PULSE_GEMINI_LEFT_OUT, NULL },
    { "propertyOrdering", NGX_PULSE_GEMINI_LEFT_OUT, NULL },
    { "properties", NGX_PULSE_GEMINI_SCHEMAS, NULL },
    { "defs", NGX_PULSE_GEMINI_SCHEMAS, "$defs" },
    { "$defs", NGX_PULSE_GEMINI_SCHEMAS, NULL },
    { "definitions", NGX_PULSE_GEMINI_SCHEMAS, NULL },
    { "ref", NGX_PULSE_GEMINI_AS_IT_IS, "$ref" },
    { "items", NGX_PULSE_GEMINI_SCHEMA, NULL },
    { "prefixItems", NGX_PULSE_GEMINI_SCHEMA, NULL },
    { "additionalProperties", NGX_PULSE_GEMINI_SCHEMA, NULL },
    { "anyOf", NGX_PULSE_GEMINI_SCHEMA, NULL },
    { "oneOf", NGX_PULSE_GEMINI_SCHEMA, NULL },
    { "allOf", NGX_PULSE_GEMINI_SCHEMA, NULL },
    { "not", NGX_PULSE_GEMINI_SCHEMA, NULL },
    { "minItems", NGX_PULSE_GEMINI_COUNT, NULL },
    { "maxItems", NGX_PULSE_GEMINI_COUNT, NULL },
    { "minLength", NGX_PULSE_GEMINI_COUNT, NULL },
    { "maxLength", NGX_PULSE_GEMINI_COUNT, NULL },
    { "minProperties", NGX_PULSE_GEMINI_COUNT, NULL },
    { "maxProperties", NGX_PULSE_GEMINI_COUNT, NULL },
    { NULL, NGX_PULSE_GEMINI_AS_IT_IS, NULL }
};


/* recurses no deeper than the tree is, which has a limit */

void
ngx_pulse_gemini_schema(const ngx_str_t *text, ngx_pulse_json_value_t *v,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t               nullable;
    ngx_pulse_json_value_t  *member;

    if (v->type == NGX_PULSE_JSON_ARRAY) {
        ngx_pulse_buf_char(b, '[');

        for (member = v->children; member; member = member->next) {
            ngx_pulse_json_comma(b);
            ngx_pulse_gemini_schema(text, member, b);
        }

        ngx_pulse_buf_char(b, ']');

        return;
    }

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        ngx_pulse_gemini_schema_raw(text, v, b);
        return;
    }

    ngx_pulse_gemini_camel(v);

    member = ngx_pulse_json_get(v, "nullable");
    nullable = member && member->boolean;

    ngx_pulse_buf_char(b, '{');

    for (member = v->children; member; member = member->next) {
        ngx_pulse_gemini_schema_member(text, member, nullable, b);
    }

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_gemini_schema_member(const ngx_str_t *text,
    ngx_pulse_json_value_t *v, ngx_uint_t nullable, ngx_pulse_buf_t *b)
{
    ngx_pulse_gemini_keyword_t  *keyword;

    keyword = ngx_pulse_gemini_keyword(&v->key);

    if (keyword->type == NGX_PULSE_GEMINI_LEFT_OUT
        || (keyword->type == NGX_PULSE_GEMINI_FORMAT
            && ngx_pulse_is(&v->string, "enum")))
    {
        return;
    }

    ngx_pulse_json_comma(b);

    if (keyword->to) {
        ngx_pulse_buf_json(b, (u_char *) keyword->to,
                           ngx_strlen(keyword->to));

    } else {
        ngx_pulse_buf_json(b, v->key.data, v->key.len);
    }

    ngx_pulse_buf_char(b, ':');

    switch (keyword->type) {

    case NGX_PULSE_GEMINI_SCHEMA:
        ngx_pulse_gemini_schema(text, v, b);
        break;

    case NGX_PULSE_GEMINI_SCHEMAS:
        ngx_pulse_gemini_schemas(text, v, b);
        break;

    case NGX_PULSE_GEMINI_TYPE:
        ngx_pulse_gemini_schema_type(text, v, nullable, b);
        break;

    case NGX_PULSE_GEMINI_ENUM:
        ngx_pulse_gemini_schema_enum(text, v, nullable, b);
        break;

    case NGX_PULSE_GEMINI_COUNT:

        /* 64 bit integers are strings in protobuf's JSON */

        if (v->type == NGX_PULSE_JSON_STRING
            && ngx_pulse_gemini_is_count(&v->string))
        {
            ngx_pulse_buf_str(b, &v->string);
            break;
        }

        /* fall through */

    default:
        ngx_pulse_gemini_schema_raw(text, v, b);
    }
}


static ngx_pulse_gemini_keyword_t *
ngx_pulse_gemini_keyword(const ngx_str_t *name)
{
    ngx_pulse_gemini_keyword_t  *keyword;

    for (keyword = ngx_pulse_gemini_keywords; keyword->name; keyword++) {
        if (ngx_pulse_is(name, keyword->name)) {
            break;
        }
    }

    return keyword;
}


static void
ngx_pulse_gemini_schemas(const ngx_str_t *text, ngx_pulse_json_value_t *v,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *member;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        ngx_pulse_gemini_schema_raw(text, v, b);
        return;
    }

    ngx_pulse_buf_char(b, '{');

    for (member = v->children; member; member = member->next) {
        ngx_pulse_json_comma(b);
        ngx_pulse_buf_json(b, member->key.data, member->key.len);
        ngx_pulse_buf_char(b, ':');
        ngx_pulse_gemini_schema(text, member, b);
    }

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_gemini_schema_type(const ngx_str_t *text, ngx_pulse_json_value_t *v,
    ngx_uint_t nullable, ngx_pulse_buf_t *b)
{
    size_t  i;

    if (v->type != NGX_PULSE_JSON_STRING) {
        ngx_pulse_gemini_schema_raw(text, v, b);
        return;
    }

    for (i = 0; i < v->string.len; i++) {
        v->string.data[i] = ngx_tolower(v->string.data[i]);
    }

    if (nullable) {
        ngx_pulse_buf_char(b, '[');
    }

    ngx_pulse_buf_json(b, v->string.data, v->string.len);

    if (nullable) {
        ngx_pulse_buf_literal(b, ",\"null\"]");
    }
}


static void
ngx_pulse_gemini_schema_enum(const ngx_str_t *text, ngx_pulse_json_value_t *v,
    ngx_uint_t nullable, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *value;

    if (v->type != NGX_PULSE_JSON_ARRAY || !nullable) {
        ngx_pulse_gemini_schema_raw(text, v, b);
        return;
    }

    ngx_pulse_buf_char(b, '[');

    for (value = v->children; value; value = value->next) {
        ngx_pulse_gemini_schema_raw(text, value, b);
        ngx_pulse_buf_char(b, ',');
    }

    ngx_pulse_buf_literal(b, "null]");
}


static void
ngx_pulse_gemini_schema_raw(const ngx_str_t *text,
    const ngx_pulse_json_value_t *v, ngx_pulse_buf_t *b)
{
    ngx_str_t  raw;

    raw = ngx_pulse_raw(text, v);
    ngx_pulse_json_compact(&raw, b);
}


static ngx_uint_t
ngx_pulse_gemini_is_count(const ngx_str_t *s)
{
    int64_t  n;

    return ngx_pulse_json_int(s, &n) == NGX_OK && n >= 0
           && (s->len == 1 || s->data[0] != '0');
}


void
ngx_pulse_gemini_camel(ngx_pulse_json_value_t *v)
{
    size_t                   i;
    u_char                  *to;
    ngx_str_t               *key;
    ngx_pulse_json_value_t  *member;

    if (v == NULL || v->type != NGX_PULSE_JSON_OBJECT) {
        return;
    }

    for (member = v->children; member; member = member->next) {
        key = &member->key;
        to = key->data;

        for (i = 0; i < key->len; i++) {

            if (key->data[i] == '_' && i > 0 && i + 1 < key->len
                && key->data[i + 1] >= 'a' && key->data[i + 1] <= 'z')
            {
                i++;
                *to++ = ngx_toupper(key->data[i]);
                continue;
            }

            *to++ = key->data[i];
        }

        key->len = to - key->data;
    }
}
