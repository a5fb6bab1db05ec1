
#include "ngx_pulse_id.h"
#include "pulse_image.h"


/*
 * POST /images/generations with JSON, /images/edits as a form.  These models
 * always answer b64_json, and refuse to be asked for it.
 */


static ngx_int_t pulse_image_openai_write(pulse_image_call_t *call);
static ngx_int_t pulse_image_openai_generate(pulse_image_call_t *call);
static ngx_int_t pulse_image_openai_edit(pulse_image_call_t *call);
static void pulse_image_openai_fields(pulse_image_call_t *call,
    void (*field)(pulse_image_call_t *call, const char *name,
                  const ngx_str_t *value, ngx_uint_t number));
static void pulse_image_openai_member(pulse_image_call_t *call,
    const char *name, const ngx_str_t *value, ngx_uint_t number);
static void pulse_image_openai_part(pulse_image_call_t *call,
    const char *name, const ngx_str_t *value, ngx_uint_t number);
static void pulse_image_openai_file(pulse_image_call_t *call,
    const char *name, const pulse_image_input_t *input);
static pulse_json_want_e pulse_image_openai_wanted(pulse_image_call_t *call,
    const char *path);
static void pulse_image_openai_value(pulse_image_call_t *call,
    const char *path, const ngx_str_t *text);
static ngx_int_t pulse_image_openai_answered(pulse_image_call_t *call);


const pulse_image_provider_t  pulse_image_openai = {
    "openai",
    pulse_image_openai_write,
    pulse_image_openai_wanted,
    pulse_image_openai_value,
    pulse_image_openai_answered
};


static ngx_int_t
pulse_image_openai_write(pulse_image_call_t *call)
{
    char                           value[1024];
    const pulse_media_provider_t  *provider;

    provider = call->run->model->provider;

    ngx_pulse_buf_append(&call->url, (u_char *) provider->base,
                         strlen(provider->base));

    snprintf(value, sizeof(value), "Bearer %s", provider->key);

    if (pulse_image_header(call, "Authorization", value) != NGX_OK
        || pulse_image_header(call, "X-Client-Request-Id", call->run->trace)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return call->run->wish->ninputs ? pulse_image_openai_edit(call)
                                    : pulse_image_openai_generate(call);
}


static ngx_int_t
pulse_image_openai_generate(pulse_image_call_t *call)
{
    ngx_pulse_buf_literal(&call->url, "/images/generations");

    pulse_image_say(call, "{\"model\":");
    ngx_pulse_buf_json(&call->text, (u_char *) call->run->model->id,
                       strlen(call->run->model->id));

    pulse_image_openai_fields(call, pulse_image_openai_member);

    pulse_image_say(call, "}");
    pulse_image_piece(call);

    return pulse_image_header(call, "Content-Type", "application/json");
}


static ngx_int_t
pulse_image_openai_edit(pulse_image_call_t *call)
{
    char                       type[128];
    ngx_str_t                  id;
    ngx_uint_t                 i;
    const pulse_image_wish_t  *wish;

    /* no more than chance is needed for it not to be in a picture */

    ngx_pulse_uuid7((u_char *) call->id);
    call->id[PULSE_SHELF_ID] = '\0';

    wish = call->run->wish;
    id = call->run->model->model->id;

    ngx_pulse_buf_literal(&call->url, "/images/edits");

    pulse_image_openai_part(call, "model", &id, 0);
    pulse_image_openai_fields(call, pulse_image_openai_part);

    for (i = 0; i < wish->ninputs; i++) {
        pulse_image_openai_file(call, "image[]", &wish->inputs[i]);
    }

    if (wish->mask.fd != -1) {
        pulse_image_openai_file(call, "mask", &wish->mask);
    }

    pulse_image_say(call, "--");
    pulse_image_say(call, call->id);
    pulse_image_say(call, "--\r\n");
    pulse_image_piece(call);

    snprintf(type, sizeof(type), "multipart/form-data; boundary=%s",
             call->id);

    return pulse_image_header(call, "Content-Type", type);
}


static void
pulse_image_openai_fields(pulse_image_call_t *call,
    void (*field)(pulse_image_call_t *call, const char *name,
                  const ngx_str_t *value, ngx_uint_t number))
{
    u_char                     text[64];
    ngx_str_t                  value;
    const pulse_image_wish_t  *wish;

    wish = call->run->wish;

    field(call, "prompt", &wish->spoken, 0);

    value.data = text;
    value.len = snprintf((char *) text, sizeof(text), "%lu", call->wanted);
    field(call, "n", &value, 1);

    if (wish->width) {
        value.len = snprintf((char *) text, sizeof(text), "%lux%lu",
                             wish->width, wish->height);
        field(call, "size", &value, 0);
    }

    field(call, "quality", &wish->quality, 0);
    field(call, "background", &wish->background, 0);
    field(call, "output_format", &wish->format, 0);
    field(call, "moderation", &wish->moderation, 0);
    field(call, "input_fidelity", &wish->fidelity, 0);

    if (wish->compression != -1) {
        value.len = snprintf((char *) text, sizeof(text), "%ld",
                             wish->compression);
        field(call, "output_compression", &value, 1);
    }
}


static void
pulse_image_openai_member(pulse_image_call_t *call, const char *name,
    const ngx_str_t *value, ngx_uint_t number)
{
    if (value->len == 0) {
        return;
    }

    pulse_image_say(call, ",\"");
    pulse_image_say(call, name);
    pulse_image_say(call, "\":");

    if (number) {
        ngx_pulse_buf_str(&call->text, value);

    } else {
        ngx_pulse_buf_json(&call->text, value->data, value->len);
    }
}


static void
pulse_image_openai_part(pulse_image_call_t *call, const char *name,
    const ngx_str_t *value, ngx_uint_t number)
{
    if (value->len == 0) {
        return;
    }

    pulse_image_say(call, "--");
    pulse_image_say(call, call->id);
    pulse_image_say(call, "\r\nContent-Disposition: form-data; name=\"");
    pulse_image_say(call, name);
    pulse_image_say(call, "\"\r\n\r\n");
    ngx_pulse_buf_str(&call->text, value);
    pulse_image_say(call, "\r\n");
}


static void
pulse_image_openai_file(pulse_image_call_t *call, const char *name,
    const pulse_image_input_t *input)
{
    pulse_image_say(call, "--");
    pulse_image_say(call, call->id);
    pulse_image_say(call, "\r\nContent-Disposition: form-data; name=\"");
    pulse_image_say(call, name);
    pulse_image_say(call, "\"; filename=\"image.");
    pulse_image_say(call, input->type + sizeof("image/") - 1);
    pulse_image_say(call, "\"\r\nContent-Type: ");
    pulse_image_say(call, input->type);
    pulse_image_say(call, "\r\n\r\n");
    pulse_image_file(call, input, 0);
    pulse_image_say(call, "\r\n");
}


static pulse_json_want_e
pulse_image_openai_wanted(pulse_image_call_t *call, const char *path)
{
    size_t  len;

    len = strlen(path);

    if (strncmp(path, "data.", 5) == 0 && len > 14
        && strcmp(path + len - 9, ".b64_json") == 0)
    {
        return PULSE_JSON_PASS;
    }

    return (strncmp(path, "error.", 6) == 0) ? PULSE_JSON_KEEP
                                             : PULSE_JSON_SKIP;
}


static void
pulse_image_openai_value(pulse_image_call_t *call, const char *path,
    const ngx_str_t *text)
{
    ngx_str_t             none;
    ngx_uint_t            i;
    pulse_image_usage_t  *usage;

    static const struct {
        const char           *code;
        pulse_image_fault_e   fault;
    } codes[] = {
        { "moderation_blocked", pulse_image_flagged },
        { "content_policy_violation", pulse_image_flagged },
        { "insufficient_quota", pulse_image_unpaid },
        { "credit_balance_exhausted", pulse_image_unpaid },
        { "billing_hard_limit_reached", pulse_image_unpaid },
        { "organization_spend_limit_exceeded", pulse_image_unpaid },
        { "project_spend_limit_exceeded", pulse_image_unpaid },
        { "organization_usage_limit_exceeded", pulse_image_unpaid },
        { "invalid_api_key", pulse_image_unpaid },
        { "model_not_found", pulse_image_down },
        { NULL, pulse_image_fine }
    };

    usage = &call->usage;
    ngx_str_null(&none);

    if (strcmp(path, "usage.input_tokens") == 0) {
        usage->input = pulse_image_number(text);
        usage->known = 1;

    } else if (strcmp(path, "usage.output_tokens") == 0) {
        usage->output = pulse_image_number(text);

    } else if (strcmp(path, "usage.input_tokens_details.text_tokens") == 0) {
        usage->input_text = pulse_image_number(text);

    } else if (strcmp(path, "usage.input_tokens_details.image_tokens") == 0) {
        usage->input_image = pulse_image_number(text);

    } else if (strcmp(path, "usage.output_tokens_details.text_tokens") == 0) {
        usage->output_text = pulse_image_number(text);

    } else if (strcmp(path, "usage.output_tokens_details.image_tokens") == 0)
    {
        usage->output_image = pulse_image_number(text);

    } else if (strcmp(path, "error.message") == 0) {
        snprintf(call->message, sizeof(call->message), "%.*s",
                 (int) text->len, text->data);

    } else if (strcmp(path, "error.code") == 0
               || strcmp(path, "error.type") == 0)
    {
        for (i = 0; codes[i].code; i++) {
            if (pulse_image_is(text, codes[i].code)) {
                pulse_image_fault(call, codes[i].fault, &none);
                snprintf(call->code, sizeof(call->code), "%s",
                         codes[i].code);
            }
        }
    }
}


static ngx_int_t
pulse_image_openai_answered(pulse_image_call_t *call)
{
    return NGX_OK;
}
