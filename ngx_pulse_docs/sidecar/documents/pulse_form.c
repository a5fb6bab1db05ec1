
#include "pulse_bidi.h"
#include "pulse_form.h"


#define PULSE_FORM_URL    500
#define PULSE_FORM_EMAIL  254           /* RFC 5321, 4.5.3.1.3 */
#define PULSE_FORM_PHONE  40


static ngx_uint_t pulse_form_says(const ngx_pulse_json_value_t *v);
static void pulse_form_write(ngx_pulse_buf_t *b, const ngx_str_t *text,
    ngx_uint_t flags);
static ngx_uint_t pulse_form_is_url(const ngx_str_t *text);
static ngx_uint_t pulse_form_is_email(const ngx_str_t *text);
static ngx_uint_t pulse_form_is_phone(const ngx_str_t *text);


static const char *const  pulse_form_reasons[][2] = {
    { "This is required.",
      "هذا الحقل مطلوب." },
    { "This is of the wrong type.",
      "نوع هذه القيمة غير صحيح." },
    { "This is too long.",
      "هذا النص أطول مما يُقبل." },
    { "There are too many of these.",
      "العدد هنا أكبر مما يُقبل." },
    { "This needs at least one.",
      "يلزم هنا عنصر واحد على الأقل." },
    { "This is none of the values that are taken.",
      "هذه القيمة ليست من القيم المقبولة." },
    { "Write a date as YYYY, YYYY-MM or YYYY-MM-DD.",
      "اكتب التاريخ بصيغة YYYY أو YYYY-MM أو YYYY-MM-DD." },
    { "Write an address that starts with https://, http:// or mailto:.",
      "اكتب عنوانًا يبدأ بـ https:// أو http:// أو mailto:." },
    { "This is not an email address.",
      "هذا ليس عنوان بريد إلكتروني." },
    { "Write a phone number in digits, with + ( ) . / - and spaces.",
      "اكتب رقم الهاتف بالأرقام مع + ( ) . / - والمسافات." },
    { "Write a color as six hexadecimal digits.",
      "اكتب اللون بستة أرقام ست عشرية." },
    { "This number is out of range.",
      "هذا الرقم خارج الحدود المقبولة." },
    { "This is not a PNG or JPEG image that can be used.",
      "هذه ليست صورة PNG أو JPEG صالحة." },
    { "There must be as many of these as there are columns or categories.",
      "يجب أن يساوي العدد هنا عدد الأعمدة أو الفئات." },
    { "Give one of the forms of this, and only one.",
      "أعطِ صيغة واحدة فقط لهذا الحقل." }
};


pulse_form_t *
pulse_form_create(ngx_pool_t *pool)
{
    pulse_form_t  *form;

    form = ngx_pcalloc(pool, sizeof(pulse_form_t));

    if (form == NULL || pulse_form_init(form, pool) != NGX_OK) {
        return NULL;
    }

    return form;
}


ngx_int_t
pulse_form_init(pulse_form_t *form, ngx_pool_t *pool)
{
    form->pool = pool;
    form->rc = NGX_OK;

    return ngx_pulse_buf_init_pool(&form->pointer, 0, pool);
}


const char *
pulse_form_reason(const pulse_form_t *form, ngx_uint_t arabic)
{
    return pulse_form_reasons[form->reason][arabic];
}


void
pulse_form_refuse(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, pulse_reason_e reason)
{
    if (form->rc != NGX_OK) {
        return;
    }

    form->rc = NGX_DECLINED;
    form->reason = reason;

    ngx_pulse_json_pointer(v, key, &form->pointer);
}


void
pulse_form_warn(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_warnings_t *warnings)
{
    ngx_str_t        *field;
    ngx_pulse_buf_t  *b;

    if (warnings->n == PULSE_FORM_WARNINGS || form->rc != NGX_OK) {
        return;
    }

    b = ngx_palloc(form->pool, sizeof(ngx_pulse_buf_t));

    if (b == NULL || ngx_pulse_buf_init_pool(b, 0, form->pool) != NGX_OK) {
        form->rc = NGX_ERROR;
        return;
    }

    ngx_pulse_json_pointer(v, NULL, b);

    field = &warnings->fields[warnings->n++];

    field->data = b->data;
    field->len = b->len;
}


void
pulse_form_unused(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *const *names, pulse_warnings_t *warnings)
{
    ngx_uint_t               i;
    ngx_pulse_json_value_t  *member;

    for (member = v->children; member; member = member->next) {

        for (i = 0; names[i]; i++) {
            if (strlen(names[i]) == member->key.len
                && ngx_memcmp(names[i], member->key.data, member->key.len)
                   == 0)
            {
                break;
            }
        }

        if (names[i] == NULL && pulse_form_says(member)) {
            pulse_form_warn(form, member, warnings);
        }
    }
}


static ngx_uint_t
pulse_form_says(const ngx_pulse_json_value_t *v)
{
    switch (v->type) {

    case NGX_PULSE_JSON_NULL:
        return 0;

    case NGX_PULSE_JSON_STRING:
        return v->string.len != 0;

    case NGX_PULSE_JSON_ARRAY:
    case NGX_PULSE_JSON_OBJECT:
        return v->nelts != 0;

    default:
        return 1;
    }
}


ngx_pulse_json_value_t *
pulse_form_member(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t type, ngx_uint_t flags)
{
    ngx_pulse_json_value_t  *member;

    if (form->rc != NGX_OK) {
        return NULL;
    }

    member = ngx_pulse_json_get(v, key);

    if (member == NULL || member->type == NGX_PULSE_JSON_NULL) {

        if (flags & PULSE_FORM_REQUIRED) {
            pulse_form_refuse(form, v, key, pulse_reason_required);
        }

        return NULL;
    }

    if (member->type != type) {
        pulse_form_refuse(form, member, NULL, pulse_reason_type);
        return NULL;
    }

    return member;
}


ngx_pulse_json_value_t *
pulse_form_array(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t max, ngx_uint_t flags)
{
    ngx_pulse_json_value_t  *array;

    array = pulse_form_member(form, v, key, NGX_PULSE_JSON_ARRAY, flags);
    if (array == NULL) {
        return NULL;
    }

    if (array->nelts > max) {
        pulse_form_refuse(form, array, NULL, pulse_reason_many);
        return NULL;
    }

    if (array->nelts == 0 && (flags & PULSE_FORM_REQUIRED)) {
        pulse_form_refuse(form, array, NULL, pulse_reason_few);
        return NULL;
    }

    return array->children;
}


ngx_str_t
pulse_form_text(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t max, ngx_uint_t flags)
{
    ngx_str_t                text;
    ngx_pulse_json_value_t  *member;

    ngx_str_null(&text);

    member = pulse_form_member(form, v, key, NGX_PULSE_JSON_STRING, flags);
    if (member == NULL) {
        return text;
    }

    return pulse_form_string(form, member, max, flags);
}


ngx_str_t
pulse_form_string(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    ngx_uint_t max, ngx_uint_t flags)
{
    size_t           i;
    ngx_str_t        text;
    ngx_uint_t       n;
    ngx_pulse_buf_t  b;

    ngx_str_null(&text);

    if (form->rc != NGX_OK) {
        return text;
    }

    if (v->type != NGX_PULSE_JSON_STRING) {
        pulse_form_refuse(form, v, NULL, pulse_reason_type);
        return text;
    }

    /* as JSON schema counts: code points */

    n = 0;

    for (i = 0; i < v->string.len; i++) {
        n += (v->string.data[i] & 0xc0) != 0x80;
    }

    if (n > max) {
        pulse_form_refuse(form, v, NULL, pulse_reason_long);
        return text;
    }

    ngx_pulse_buf_init(&b, 0);
    pulse_form_write(&b, &v->string, flags);

    text.len = b.len;
    text.data = ngx_pnalloc(form->pool, b.len + 1);

    if (b.failed || text.data == NULL) {
        form->rc = NGX_ERROR;
        ngx_str_null(&text);

    } else {
        text.data[text.len] = '\0';

        if (b.len) {
            ngx_memcpy(text.data, b.data, b.len);
        }
    }

    ngx_pulse_buf_free(&b);

    if (text.len == 0 && (flags & PULSE_FORM_REQUIRED)) {
        pulse_form_refuse(form, v, NULL, pulse_reason_required);
    }

    return text;
}


static void
pulse_form_write(ngx_pulse_buf_t *b, const ngx_str_t *text, ngx_uint_t flags)
{
    size_t  i, n;

    pulse_bidi_clean(b, text);

    if (b->failed) {
        return;
    }

    /* in place: space at the start, at the end and before a line end goes */

    n = 0;

    for (i = 0; i < b->len; i++) {

        if (b->data[i] == '\t'
            || (b->data[i] == '\n' && !(flags & PULSE_FORM_LINES)))
        {
            b->data[i] = ' ';
        }

        if (b->data[i] == '\n') {
            while (n && b->data[n - 1] == ' ') {
                n--;
            }
        }

        if (n || (b->data[i] != ' ' && b->data[i] != '\n')) {
            b->data[n++] = b->data[i];
        }
    }

    while (n && (b->data[n - 1] == ' ' || b->data[n - 1] == '\n')) {
        n--;
    }

    b->len = n;
}


ngx_str_t
pulse_form_url(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key)
{
    ngx_str_t  text;

    text = pulse_form_text(form, v, key, PULSE_FORM_URL, 0);

    if (text.len && !pulse_form_is_url(&text)) {
        pulse_form_refuse(form, v, key, pulse_reason_url);
    }

    return text;
}


ngx_str_t
pulse_form_address(pulse_form_t *form, const ngx_pulse_json_value_t *v)
{
    ngx_str_t  text;

    text = pulse_form_string(form, v, PULSE_FORM_URL, PULSE_FORM_REQUIRED);

    if (!pulse_form_is_url(&text)) {
        pulse_form_refuse(form, v, NULL, pulse_reason_url);
    }

    return text;
}


static ngx_uint_t
pulse_form_is_url(const ngx_str_t *text)
{
    size_t       i, scheme;
    ngx_uint_t   k;

    static const char *const  schemes[] = { "https://", "http://", "mailto:" };

    scheme = 0;

    for (k = 0; k < 3; k++) {
        if (text->len > strlen(schemes[k])
            && strncasecmp((char *) text->data, schemes[k],
                           strlen(schemes[k])) == 0)
        {
            scheme = strlen(schemes[k]);
        }
    }

    for (i = scheme; i < text->len; i++) {
        if (text->data[i] <= ' ' || strchr("\"<>", text->data[i])) {
            return 0;
        }
    }

    return scheme != 0;
}


ngx_str_t
pulse_form_email(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key)
{
    ngx_str_t  text;

    text = pulse_form_text(form, v, key, PULSE_FORM_EMAIL, 0);

    if (text.len && !pulse_form_is_email(&text)) {
        pulse_form_refuse(form, v, key, pulse_reason_email);
    }

    return text;
}


static ngx_uint_t
pulse_form_is_email(const ngx_str_t *text)
{
    size_t      i;
    ngx_uint_t  at;

    at = 0;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] <= ' ' || strchr("\"<>", text->data[i])) {
            return 0;
        }

        if (text->data[i] == '@') {
            if (at || i == 0 || i + 1 == text->len) {
                return 0;
            }

            at = 1;
        }
    }

    return at;
}


ngx_str_t
pulse_form_phone(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key)
{
    ngx_str_t  text;

    text = pulse_form_text(form, v, key, PULSE_FORM_PHONE, 0);

    if (text.len && !pulse_form_is_phone(&text)) {
        pulse_form_refuse(form, v, key, pulse_reason_phone);
    }

    return text;
}


static ngx_uint_t
pulse_form_is_phone(const ngx_str_t *text)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if ((ch >= '0' && ch <= '9') || strchr("+ ()./-", ch)) {
            continue;
        }

        /* U+0660..0669, the digits of Arabic */

        if (ch != 0xd9 || text->data[i + 1] < 0xa0
            || text->data[i + 1] > 0xa9)
        {
            return 0;
        }

        i++;
    }

    return 1;
}


ngx_uint_t
pulse_form_choice(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, const char *const *names, ngx_uint_t absent)
{
    ngx_uint_t               i;
    ngx_pulse_json_value_t  *member;

    member = pulse_form_member(form, v, key, NGX_PULSE_JSON_STRING, 0);
    if (member == NULL) {
        return absent;
    }

    for (i = 0; names[i]; i++) {
        if (strlen(names[i]) == member->string.len
            && ngx_memcmp(names[i], member->string.data, member->string.len)
               == 0)
        {
            return i;
        }
    }

    pulse_form_refuse(form, member, NULL, pulse_reason_choice);

    return absent;
}


ngx_uint_t
pulse_form_flag(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t absent)
{
    ngx_pulse_json_value_t  *member;

    member = pulse_form_member(form, v, key, NGX_PULSE_JSON_BOOL, 0);

    return member ? member->boolean : absent;
}


ngx_int_t
pulse_form_integer(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_int_t min, ngx_int_t max, ngx_int_t absent)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = pulse_form_member(form, v, key, NGX_PULSE_JSON_NUMBER, 0);
    if (member == NULL) {
        return absent;
    }

    if (ngx_pulse_json_int(&member->string, &n) != NGX_OK || n < min
        || n > max)
    {
        pulse_form_refuse(form, member, NULL, pulse_reason_number);
        return absent;
    }

    return n;
}


uint32_t
pulse_form_color(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, uint32_t absent)
{
    size_t                   i;
    u_char                   ch;
    uint32_t                 color;
    ngx_pulse_json_value_t  *member;

    member = pulse_form_member(form, v, key, NGX_PULSE_JSON_STRING, 0);
    if (member == NULL) {
        return absent;
    }

    color = 0;

    for (i = 0; i < member->string.len; i++) {
        ch = member->string.data[i];

        if (!isxdigit(ch)) {
            break;
        }

        color = color << 4 | (ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10);
    }

    if (i != 6 || i != member->string.len) {
        pulse_form_refuse(form, member, NULL, pulse_reason_color);
        return absent;
    }

    return color;
}


void
pulse_form_locale(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, const char *absent, pulse_locale_t *locale)
{
    ngx_uint_t  i, known;

    /* those of the Levant and Iraq first, where months have names of their
     * own; then those of Arabic */

    static const char *const  names[] = {
        "ar", "ar-JO", "ar-IQ", "ar-SY", "ar-LB", "ar-PS", "ar-EG", "ar-SA",
        "ar-AE", "ar-KW", "ar-QA", "ar-BH", "ar-OM", "ar-YE", "ar-MA", "ar-DZ",
        "ar-TN", "ar-LY", "ar-SD", "en", "en-US", "en-GB", NULL
    };

    static const ngx_uint_t  levant = 5, english = 19;

    known = 0;

    for (i = 0; names[i]; i++) {
        if (strcmp(names[i], absent) == 0) {
            known = i;
        }
    }

    i = pulse_form_choice(form, v, key, names, known);

    locale->arabic = i < english;
    locale->levant = i <= levant;

    i += (i == 0 || i == english);

    locale->tag.data = (u_char *) names[i];
    locale->tag.len = strlen(names[i]);
}
